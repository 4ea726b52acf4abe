-- Add the sample's promotions on its new services and its plans: of services, of plans and of pairs, by percent and
-- by amount, one of them over and the others in force since the file's last day.
-- returns: added
WITH new_service AS (
    SELECT v.id, v.name, s.best_selling
    FROM pg_temp.billing_sample_service AS s
    INNER JOIN billing_service AS v ON v.name = s.name
    WHERE s.is_new
),

wanted AS (
    SELECT
        'Christmas 2010' AS name, s.id AS service_id, NULL::bigint AS plan_id,
        10::numeric AS percent, NULL::numeric AS amount,
        '2010-11-01 00:00+00'::timestamptz AS starts_at, '2010-12-26 00:00+00'::timestamptz AS ends_at,
        10 AS priority
    FROM new_service AS s
    WHERE s.name LIKE '%%CHRISTMAS%%'
    UNION ALL
    SELECT 'Best sellers', s.id, NULL, 8, NULL, '2010-12-10 00:00+00', NULL, 20
    FROM new_service AS s
    WHERE s.best_selling <= 20
    UNION ALL
    SELECT 'Ten pence off for trade', s.id, p.id, NULL, 0.10, '2010-12-10 00:00+00', NULL, 30
    FROM new_service AS s
    INNER JOIN billing_plan AS p ON p.name = 'Online Retail trade'
    WHERE s.best_selling BETWEEN 21 AND 40
    UNION ALL
    SELECT 'Key account bonus', NULL, p.id, 16, NULL, '2010-12-10 00:00+00', NULL, 40
    FROM billing_plan AS p
    WHERE p.name = 'Online Retail key account'
),

added AS (
    INSERT INTO billing_promotion (name, service_id, plan_id, percent, amount, starts_at, ends_at, priority)
    SELECT w.name, w.service_id, w.plan_id, w.percent, w.amount, w.starts_at, w.ends_at, w.priority
    FROM wanted AS w
    ORDER BY w.priority, w.service_id, w.plan_id
    ON CONFLICT ON CONSTRAINT billing_promotion_no_overlap DO NOTHING
    RETURNING id
)

SELECT count(*) AS added FROM added
