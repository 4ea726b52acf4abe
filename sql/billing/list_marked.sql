-- The keys of the marked subscriptions: the marks that the run has claimed, or, for a plan (no run), the marks
-- that a run would claim now, those of passed instants included.
-- params: run, as_of
-- returns: id
WITH mark AS MATERIALIZED (
    SELECT m.service_id, m.plan_id, m.subscription_ids
    FROM billing_mark AS m
    WHERE m.run_id IS NOT DISTINCT FROM %(run)s::bigint
    UNION ALL
    SELECT i.service_id, i.plan_id, i.subscription_ids
    FROM billing_catalogue AS k
    CROSS JOIN billing_passed_instants(coalesce(k.marked_until, '-infinity'), %(as_of)s::timestamptz) AS i
    WHERE %(run)s::bigint IS NULL
)

SELECT u.id
FROM mark AS m
CROSS JOIN unnest(m.subscription_ids) AS u (id)
UNION
SELECT s.id
FROM (SELECT DISTINCT m.service_id FROM mark AS m WHERE m.plan_id IS NULL) AS m
INNER JOIN billing_subscription AS s ON s.service_id = m.service_id
UNION
SELECT s.id
FROM (SELECT DISTINCT m.plan_id FROM mark AS m WHERE m.service_id IS NULL) AS m
INNER JOIN billing_subscription AS s ON s.plan_id = m.plan_id
UNION
SELECT s.id
FROM mark AS m
INNER JOIN billing_subscription AS s ON s.service_id = m.service_id AND s.plan_id = m.plan_id
UNION
SELECT s.id
FROM billing_subscription AS s
WHERE EXISTS (
    SELECT 1 FROM mark AS m WHERE m.service_id IS NULL AND m.plan_id IS NULL AND m.subscription_ids IS NULL
)
