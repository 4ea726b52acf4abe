-- Make this session the owner of an unfinished run: raise its fence and those of its open windows, so that what an
-- earlier owner or its hands write fails. Returns no row where another session was faster.
-- params: run, fence, host, pid
-- returns: fence
WITH taken AS (
    UPDATE ops_run AS r
    SET
        fence = r.fence + 1,
        state = 'running',
        message = '',
        owner_host = %(host)s::text,
        owner_pid = %(pid)s::integer,
        backend_pid = pg_backend_pid(),
        backend_start = (SELECT a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()),
        heartbeat_at = clock_timestamp()
    WHERE
        r.id = %(run)s::bigint
        AND r.fence = %(fence)s::bigint
        AND r.state IN ('queued', 'running', 'stopped', 'paused')
    RETURNING r.id, r.fence
),

late AS (
    UPDATE ops_window AS w
    SET fence = w.fence + 1
    FROM taken AS t
    WHERE w.run_id = t.id AND NOT w.done
)

SELECT t.fence FROM taken AS t
