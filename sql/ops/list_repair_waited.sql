-- For whom a server process waits: what is said of a step that stands in nobody's way, and may wait for long.
-- params: pid
-- returns: pid, application, username, since, state, query
SELECT
    a.pid, a.application_name::text AS application, a.usename::text AS username,
    coalesce(a.xact_start, a.backend_start) AS since, coalesce(a.state, '')::text AS state, a.query
FROM pg_stat_activity AS a
WHERE a.pid = any(pg_blocking_pids(%(pid)s::integer))
ORDER BY since ASC, a.pid ASC
