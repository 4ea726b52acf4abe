-- The runs that ended before an instant, of which nothing that is kept depends: no unfinished or younger run reverts
-- them, directly or by way of others, and they hold no rows.
-- params: before
-- returns: id, month, whole
WITH RECURSIVE ended AS (
    SELECT r.id, r.reverts_id, date_trunc('month', r.created_at AT TIME ZONE 'UTC')::date AS month
    FROM ops_run AS r
    WHERE
        r.state NOT IN ('queued', 'running', 'stopped', 'paused')
        AND coalesce(r.finished_at, r.created_at) < %(before)s::timestamptz
        AND NOT EXISTS (SELECT 1 FROM ops_hold AS h WHERE h.run_id = r.id)
),

kept AS (
    SELECT r.id, r.reverts_id
    FROM ops_run AS r
    WHERE NOT EXISTS (SELECT 1 FROM ended AS e WHERE e.id = r.id)
    UNION
    SELECT r.id, r.reverts_id
    FROM kept AS k
    INNER JOIN ops_run AS r ON r.id = k.reverts_id
),

kept_month AS (
    SELECT DISTINCT date_trunc('month', r.created_at AT TIME ZONE 'UTC')::date AS month
    FROM kept AS k
    INNER JOIN ops_run AS r ON r.id = k.id
    WHERE r.verb <> 'plan'
)

SELECT
    e.id, e.month,
    e.month < date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC')::date
    AND NOT EXISTS (SELECT 1 FROM kept_month AS m WHERE m.month = e.month) AS whole
FROM ended AS e
WHERE NOT EXISTS (SELECT 1 FROM kept AS k WHERE k.id = e.id)
ORDER BY e.id ASC
