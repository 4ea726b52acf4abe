-- Transactions that have been open for long: idle sessions, busy ones, and prepared ones, the oldest first.
-- A session of another role hides its state from a role without pg_read_all_stats, and is left out.
-- params: idle, busy
-- returns: pid, gid, holder, application, state, seconds
SELECT
    a.pid, NULL::text AS gid, a.usename::text AS holder, a.application_name AS application, a.state,
    extract(EPOCH FROM clock_timestamp() - a.xact_start)::float AS seconds
FROM pg_stat_activity AS a
WHERE
    a.backend_type = 'client backend'
    AND a.pid <> pg_backend_pid()
    AND (
        (
            a.state IN ('idle in transaction', 'idle in transaction (aborted)')
            AND a.state_change < clock_timestamp() - make_interval(secs => %(idle)s::float)
        )
        OR (
            a.state = 'active'
            AND a.xact_start < clock_timestamp() - make_interval(secs => %(busy)s::float)
        )
    )
UNION ALL
SELECT
    NULL AS pid, p.gid, p.owner::text AS holder, '' AS application, 'prepared' AS state,
    extract(EPOCH FROM clock_timestamp() - p.prepared)::float AS seconds
FROM pg_prepared_xacts AS p
WHERE p.prepared < clock_timestamp() - make_interval(secs => %(idle)s::float)
ORDER BY seconds DESC
