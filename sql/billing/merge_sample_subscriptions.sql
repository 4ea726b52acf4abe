-- Subscribe each customer to each stock code it orders, unless it has a subscription to that service.
-- It began with the first order and renews a billing period after the last one.
-- returns: added
WITH client AS (
    SELECT c.customer, p.id AS plan_id, min(k.id) AS client_id
    FROM pg_temp.billing_sample_client AS c
    INNER JOIN billing_client AS k ON k.name = c.title
    INNER JOIN billing_plan AS p ON p.name = c.plan_name
    GROUP BY c.customer, p.id
),

service AS (
    SELECT s.stock_code, min(v.id) AS service_id
    FROM pg_temp.billing_sample_service AS s
    INNER JOIN billing_service AS v ON split_part(v.name, ' ', 1) = s.stock_code
    GROUP BY s.stock_code
),

added AS (
    INSERT INTO billing_subscription (
        client_id, service_id, plan_id, quantity, billing_period, started_at, renews_at
    )
    SELECT
        c.client_id, v.service_id, c.plan_id, o.quantity, o.billing_period, o.first_at,
        o.last_at + make_interval(months => o.billing_period) AS renews_at
    FROM pg_temp.billing_sample_pair AS o
    INNER JOIN client AS c ON c.customer = o.customer
    INNER JOIN service AS v ON v.stock_code = o.stock_code
    WHERE
        NOT EXISTS (
            SELECT 1 FROM billing_subscription AS b WHERE b.client_id = c.client_id AND b.service_id = v.service_id
        )
    ORDER BY c.client_id, v.service_id
    RETURNING id
)

SELECT count(*) AS added FROM added
