-- List who holds locks on tables, or builds or vacuums them, the oldest transaction first.
-- params: relations
-- returns: relation, pid, application, username, since, state, seconds, modes
SELECT
    named.relation,
    a.pid,
    a.application_name::text AS application,
    a.usename::text AS username,
    coalesce(a.xact_start, a.backend_start) AS since,
    coalesce(a.state, '')::text AS state,
    coalesce(extract(EPOCH FROM now() - a.xact_start), 0)::integer AS seconds,
    array_agg(DISTINCT l.mode::text ORDER BY l.mode::text) AS modes
FROM unnest(%(relations)s::text[]) AS named (relation)
INNER JOIN pg_locks AS l ON l.relation = to_regclass(named.relation)
INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE
    l.granted
    AND l.locktype = 'relation'
    AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
GROUP BY named.relation, a.pid, a.application_name, a.usename, a.xact_start, a.backend_start, a.state
ORDER BY since ASC, a.pid ASC, named.relation ASC
