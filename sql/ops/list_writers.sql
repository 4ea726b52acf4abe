-- The transactions that hold a table, or a partition of it, such that they may write to it.
-- params: relation
-- returns: writer, pid, usename, client, application_name, seconds, state, query
SELECT DISTINCT ON (k.virtualtransaction)
    k.virtualtransaction AS writer, a.pid, a.usename::text AS usename,
    coalesce(a.client_addr::text, 'local') AS client, a.application_name,
    extract(EPOCH FROM clock_timestamp() - a.xact_start)::integer AS seconds, a.state, left(a.query, 60) AS query
FROM pg_locks AS k
LEFT JOIN pg_stat_activity AS a ON a.pid = k.pid
WHERE
    k.locktype = 'relation'
    AND k.granted
    AND k.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND k.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    AND k.pid IS DISTINCT FROM pg_backend_pid()
    AND (
        k.relation = %(relation)s::regclass
        OR k.relation IN (SELECT p.relid::oid FROM pg_partition_tree(%(relation)s::regclass) AS p)
    )
ORDER BY k.virtualtransaction ASC
