-- List subscriptions in the order of their ids, a page at a time, with what tells client, plan and currency.
-- A filter that is null restricts nothing: the planner sees the value, so such a condition is gone before it plans.
-- params: after, client, plan, service, currency, rows
-- returns: id, plan_id, client_name, email, plan_type, discount_percent, price, currency
SELECT
    s.id,
    s.plan_id,
    c.name AS client_name,
    c.email,
    p.plan_type,
    p.discount_percent,
    s.price,
    sv.currency_id AS currency
FROM billing_subscription AS s
INNER JOIN billing_client AS c ON s.client_id = c.id
INNER JOIN billing_service AS sv ON s.service_id = sv.id
LEFT JOIN billing_plan AS p ON s.plan_id = p.id
WHERE
    s.id > %(after)s::bigint
    AND (%(client)s::bigint IS NULL OR s.client_id = %(client)s::bigint)
    AND (%(plan)s::bigint IS NULL OR s.plan_id = %(plan)s::bigint)
    AND (%(service)s::bigint IS NULL OR s.service_id = %(service)s::bigint)
    AND (%(currency)s::text IS NULL OR sv.currency_id = %(currency)s::text)
ORDER BY s.id ASC
LIMIT %(rows)s::bigint
