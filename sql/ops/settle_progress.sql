-- Let a run's counters say what its windows say, and the run that it is alive; read what is wished of it.
-- Returns no row where the run has another owner by now, or was ended. That it is written need not be waited for.
-- params: run, fence
-- returns: changed, batches, wish, batch_size, target_time, workers, durability
WITH told AS (
    SELECT
        sum(w.changed) AS changed,
        sum(w.batches) AS batches
    FROM ops_window AS w
    WHERE w.run_id = %(run)s::bigint
)

UPDATE ops_run AS r
SET
    changed = t.changed,
    batches = t.batches,
    heartbeat_at = clock_timestamp()
FROM told AS t
WHERE r.id = %(run)s::bigint AND r.fence = %(fence)s::bigint AND r.state = 'running'
RETURNING
    r.changed, r.batches, r.wish, r.batch_size, r.target_time, r.workers,
    set_config('synchronous_commit', 'off', TRUE) AS durability
