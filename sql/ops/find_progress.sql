-- Tell how far the hands of a run are, and whether it is still this owner's.
-- params: run, fence
-- returns: changed, wish, workers, windows
SELECT
    (SELECT coalesce(sum(w.changed), 0)::bigint FROM ops_window AS w WHERE w.run_id = r.id) AS changed,
    r.wish, r.workers,
    (SELECT count(*) FROM ops_window AS w WHERE w.run_id = r.id AND NOT w.done) AS windows
FROM ops_run AS r
WHERE r.id = %(run)s::bigint AND r.fence = %(fence)s::bigint AND r.state = 'running'
