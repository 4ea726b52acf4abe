-- Take over a window whose hand is gone: killed (its connection is closed), of an earlier owner of the run, or silent
-- for longer than its lease and not at work in the server (which another role's hand shows only to a role with
-- pg_read_all_stats). Another hand that looks at the same moment skips it.
-- params: run, fence, lease, host, pid
-- returns: id, number, after, upto, slot, batches, size, fence
WITH orphan AS (
    SELECT w.id
    FROM ops_window AS w
    WHERE
        w.run_id = %(run)s::bigint
        AND NOT w.done
        AND (
            w.run_fence <> %(fence)s::bigint
            OR NOT EXISTS (
                SELECT 1 FROM pg_stat_activity AS a
                WHERE
                    a.pid = w.backend_pid AND coalesce(a.backend_start, w.backend_start) = w.backend_start
                    AND (
                        a.state = 'active'
                        OR w.heartbeat_at > clock_timestamp() - make_interval(secs => %(lease)s::float)
                    )
            )
        )
    ORDER BY w.number ASC
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)

UPDATE ops_window AS w
SET
    run_fence = %(fence)s::bigint,
    fence = w.fence + 1,
    host = %(host)s::text,
    pid = %(pid)s::integer,
    backend_pid = pg_backend_pid(),
    backend_start = (SELECT a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()),
    heartbeat_at = clock_timestamp()
FROM orphan AS o
WHERE w.id = o.id
RETURNING w.id, w.number, w.after, w.upto, w.slot, w.batches, w.size, w.fence
