-- What a good engineer writes by hand: every price there can be, once, with statistics. Best of one reduction.
CREATE TEMPORARY TABLE offer AS
WITH promotion AS (
    SELECT p.service_id, p.plan_id, p.percent, p.amount
    FROM billing_promotion AS p
    WHERE p.starts_at <= now() AND (p.ends_at IS NULL OR p.ends_at > now())
),

each AS (
    SELECT q.service_id, q.plan_id, q.percent, q.amount
    FROM promotion AS q
    WHERE q.service_id IS NOT NULL AND q.plan_id IS NOT NULL
    UNION ALL
    SELECT q.service_id, p.id, q.percent, q.amount
    FROM promotion AS q
    CROSS JOIN billing_plan AS p
    WHERE q.service_id IS NOT NULL AND q.plan_id IS NULL
    UNION ALL
    SELECT s.id, q.plan_id, q.percent, q.amount
    FROM promotion AS q
    CROSS JOIN billing_service AS s
    WHERE q.service_id IS NULL AND q.plan_id IS NOT NULL
)

SELECT e.service_id, e.plan_id, max(e.percent) AS percent, max(e.amount) AS amount
FROM each AS e
GROUP BY e.service_id, e.plan_id;
ANALYZE offer;

CREATE TABLE bench_price AS
WITH t AS (
    SELECT
        q.service_id, q.minimum_quantity, q.percent,
        lead(q.minimum_quantity, 1, 2147483647) OVER (PARTITION BY q.service_id ORDER BY q.minimum_quantity) AS below
    FROM (
        SELECT t.service_id, t.minimum_quantity, t.percent FROM billing_quantitytier AS t
        UNION ALL
        SELECT s.id AS service_id, 0 AS minimum_quantity, 0 AS percent FROM billing_service AS s
    ) AS q
)

SELECT
    row_number() OVER () AS id, s.id AS service_id, p.id AS plan_id, t.minimum_quantity,
    t.below,
    round(greatest(0, least(
        s.full_price * (100 - greatest(p.discount_percent, t.percent, o.percent)) * 0.01, s.full_price - o.amount
    )), c.minor_units)::numeric(19, 4) AS price
FROM billing_service AS s
INNER JOIN billing_currency AS c ON c.code = s.currency_id
INNER JOIN t ON t.service_id = s.id
CROSS JOIN billing_plan AS p
LEFT JOIN offer AS o ON o.service_id = s.id AND o.plan_id = p.id;
ANALYZE bench_price;
