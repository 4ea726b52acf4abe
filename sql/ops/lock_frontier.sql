-- Lock a run's frontier, so that one hand at a time makes the next window from it.
-- Returns no row where the run has another owner by now, or was ended.
-- params: run, fence
-- returns: cursor, high_water, wish, windows
SELECT
    r.cursor, r.high_water, r.wish,
    (SELECT count(*) FROM ops_window AS w WHERE w.run_id = r.id) AS windows
FROM ops_run AS r
WHERE r.id = %(run)s::bigint AND r.fence = %(fence)s::bigint AND r.state = 'running'
FOR NO KEY UPDATE OF r
