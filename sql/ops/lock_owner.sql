-- Make this session the owner of an unfinished run: raise its fence, so that an earlier owner's writes fail.
-- Returns no row where another session was faster.
-- params: run, fence, host, pid
-- returns: fence
UPDATE ops_run AS r
SET
    fence = r.fence + 1,
    state = 'running',
    owner_host = %(host)s::text,
    owner_pid = %(pid)s::integer,
    backend_pid = pg_backend_pid(),
    backend_start = (SELECT a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()),
    heartbeat_at = clock_timestamp()
WHERE r.id = %(run)s::bigint AND r.fence = %(fence)s::bigint AND r.state IN ('running', 'stopped')
RETURNING r.fence
