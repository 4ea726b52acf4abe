-- Who holds a lock on a table, and since when: what a step of a repair waited for.
-- params: relation
-- returns: pid, application, username, since, state, query
SELECT
    a.pid, a.application_name::text AS application, a.usename::text AS username,
    coalesce(a.xact_start, a.backend_start) AS since, coalesce(a.state, '')::text AS state, a.query
FROM pg_stat_activity AS a
WHERE
    a.pid <> pg_backend_pid()
    AND EXISTS (
        SELECT 1 FROM pg_locks AS l
        WHERE
            l.pid = a.pid AND l.granted AND l.locktype = 'relation'
            AND l.relation = to_regclass(%(relation)s::text)
    )
ORDER BY since ASC, a.pid ASC
