-- Who holds tables so that not even their definitions can be read, and for how many seconds they have held them.
-- A transaction that was prepared (two-phase commit) has no process. What another role does may be hidden: null.
-- params: mode
-- returns: schema_, name, pid, holder, application, state, seconds
SELECT
    n.nspname::text AS schema_, c.relname::text AS name, k.pid, a.usename::text AS holder,
    a.application_name AS application, a.state,
    extract(EPOCH FROM clock_timestamp() - a.xact_start)::float AS seconds
FROM pg_locks AS k
INNER JOIN pg_database AS b ON b.oid = k.database AND b.datname = current_database()
INNER JOIN pg_class AS c ON c.oid = k.relation
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity AS a ON a.pid = k.pid
WHERE
    k.locktype = 'relation'
    AND k.mode = %(mode)s::text
    AND k.granted
    AND k.pid IS DISTINCT FROM pg_backend_pid()
    AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I')
    AND n.nspname !~ '^pg_'
ORDER BY a.xact_start ASC, c.relkind = 'r' DESC, n.nspname ASC, c.relname ASC
