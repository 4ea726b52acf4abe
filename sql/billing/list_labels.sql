-- Name subscriptions for a person: client, service and plan.
-- params: keys
-- returns: id, client, service, plan
SELECT s.id, c.name AS client, v.name AS service, p.name AS plan
FROM billing_subscription AS s
INNER JOIN billing_client AS c ON c.id = s.client_id
INNER JOIN billing_service AS v ON v.id = s.service_id
LEFT JOIN billing_plan AS p ON p.id = s.plan_id
WHERE s.id = ANY(%(keys)s::bigint[])
