-- See that each month in which a run was opened has its partition of changesets.
-- returns: opened
SELECT ops_open_month(m.month) AS opened
FROM (SELECT DISTINCT date_trunc('month', r.created_at AT TIME ZONE 'UTC')::date AS month FROM ops_run AS r) AS m
