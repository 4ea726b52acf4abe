-- Make the next window of a run, claimed by this session, and move the run's frontier behind it.
-- params: run, fence, after, upto, cursor, host, pid
-- returns: id, number
WITH moved AS (
    UPDATE ops_run AS r
    SET cursor = %(cursor)s::jsonb, heartbeat_at = clock_timestamp()
    WHERE r.id = %(run)s::bigint AND r.fence = %(fence)s::bigint
    RETURNING r.id
)

INSERT INTO ops_window (
    run_id, number, after, upto, slot, batches, changed, done,
    run_fence, fence, host, pid, backend_pid, backend_start, heartbeat_at
)
SELECT
    m.id AS run_id, (%(cursor)s::jsonb ->> 'number')::integer AS number, %(after)s::jsonb AS after,
    %(upto)s::jsonb AS upto, 0 AS slot, 0 AS batches, 0 AS changed, FALSE AS done,
    %(fence)s::bigint AS run_fence, 1 AS fence,
    %(host)s::text AS host, %(pid)s::integer AS pid, pg_backend_pid() AS backend_pid,
    (SELECT a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()) AS backend_start,
    clock_timestamp() AS heartbeat_at
FROM moved AS m
RETURNING id, number
