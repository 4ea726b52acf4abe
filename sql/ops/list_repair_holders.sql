-- Who keeps a repair from its locks: holders of the advisory lock, or of a lock on the history that excludes its own.
-- params: key
-- returns: pid, application, username, since, state, query
SELECT DISTINCT
    a.pid, a.application_name::text AS application, a.usename::text AS username,
    coalesce(a.xact_start, a.backend_start) AS since, coalesce(a.state, '')::text AS state, a.query
FROM pg_locks AS l
INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE
    l.granted
    AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND (
        (
            l.locktype = 'advisory' AND l.objsubid = 1
            AND l.classid::bigint = (%(key)s::bigint >> 32) & 4294967295
            AND l.objid::bigint = %(key)s::bigint & 4294967295
        )
        OR (
            l.locktype = 'relation' AND l.relation = to_regclass('django_migrations')
            AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
        )
    )
ORDER BY since ASC, a.pid ASC
