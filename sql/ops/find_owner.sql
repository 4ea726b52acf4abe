-- Tell whether the session that owns a run is still connected, is busy, and for how many seconds it has been silent.
-- When another role's session began is hidden from a role without pg_read_all_stats: then its number has to do.
-- params: run
-- returns: connected, busy, silence
SELECT
    EXISTS(
        SELECT 1 FROM pg_stat_activity AS a
        WHERE a.pid = r.backend_pid AND coalesce(a.backend_start, r.backend_start) = r.backend_start
    ) AS connected,
    EXISTS(
        SELECT 1 FROM pg_stat_activity AS a
        WHERE a.pid = r.backend_pid AND a.backend_start = r.backend_start AND a.state = 'active'
    ) AS busy,
    extract(EPOCH FROM clock_timestamp() - r.heartbeat_at)::float AS silence
FROM ops_run AS r
WHERE r.id = %(run)s::bigint
