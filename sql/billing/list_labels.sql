-- Name subscriptions for a person: client, service, plan and the currency of the price.
-- params: keys
-- returns: id, client, service, plan, currency
SELECT s.id, c.name AS client, v.name AS service, p.name AS plan, v.currency_id AS currency
FROM billing_subscription AS s
INNER JOIN billing_client AS c ON c.id = s.client_id
INNER JOIN billing_service AS v ON v.id = s.service_id
LEFT JOIN billing_plan AS p ON p.id = s.plan_id
WHERE s.id = ANY(%(keys)s::bigint[])
