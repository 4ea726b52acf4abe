-- Add the sample's promotions on its new services and its plans: of services, of plans and of pairs, by percent and
-- by amount, one of them over and the others in force since the file's last day.
-- returns: added
WITH new_service AS (
    SELECT v.id, v.name, s.best_selling
    FROM pg_temp.billing_sample_service AS s
    INNER JOIN billing_service AS v ON v.name = s.title
    WHERE s.is_new
),

offer AS (
    SELECT o.title, o.percent, o.amount, o.starts_at, o.ends_at, o.priority
    FROM (
        VALUES
        ('Christmas 2010', 10::numeric, NULL::numeric, '2010-11-01Z'::timestamptz, '2010-12-26Z'::timestamptz, 10),
        ('Best sellers', 8, NULL, '2010-12-10Z', NULL, 20),
        ('Ten pence off for trade', NULL, 0.10, '2010-12-10Z', NULL, 30),
        ('Key account bonus', 16, NULL, '2010-12-10Z', NULL, 40)
    ) AS o (title, percent, amount, starts_at, ends_at, priority)
),

subject AS (
    SELECT 'Christmas 2010' AS title, s.id AS service_id, NULL::bigint AS plan_id
    FROM new_service AS s
    WHERE s.name LIKE '%%CHRISTMAS%%'
    UNION ALL
    SELECT 'Best sellers' AS title, s.id AS service_id, NULL AS plan_id
    FROM new_service AS s
    WHERE s.best_selling <= 20
    UNION ALL
    SELECT 'Ten pence off for trade' AS title, s.id AS service_id, p.id AS plan_id
    FROM new_service AS s
    INNER JOIN billing_plan AS p ON p.name = 'Online Retail trade'
    WHERE s.best_selling BETWEEN 21 AND 40
    UNION ALL
    SELECT 'Key account bonus' AS title, NULL AS service_id, p.id AS plan_id
    FROM billing_plan AS p
    WHERE p.name = 'Online Retail key account'
),

added AS (
    INSERT INTO billing_promotion (name, service_id, plan_id, percent, amount, starts_at, ends_at, priority)
    SELECT o.title, s.service_id, s.plan_id, o.percent, o.amount, o.starts_at, o.ends_at, o.priority
    FROM offer AS o
    INNER JOIN subject AS s ON s.title = o.title
    ORDER BY o.priority, s.service_id, s.plan_id
    ON CONFLICT ON CONSTRAINT billing_promotion_no_overlap DO NOTHING
    RETURNING id
)

SELECT count(*) AS added FROM added
