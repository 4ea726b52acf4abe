-- What the doctor wants to know of the server and of this session's role, in one row.
-- Ages are those of the database of the server whose transaction or multixact ids are most used up.
-- returns: now, version, acts_as, recovering, writable, durable, synchronous, vacuums, used, most, eldest, age
SELECT
    clock_timestamp() AS now,
    current_setting('server_version') AS version,
    current_user::text AS acts_as,
    pg_is_in_recovery() AS recovering,
    current_setting('default_transaction_read_only') = 'off' AS writable,
    current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS durable,
    current_setting('synchronous_commit') <> 'off' AS synchronous,
    current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on' AS vacuums,
    (SELECT count(*) FROM pg_stat_activity AS a WHERE a.backend_type = 'client backend') AS used,
    current_setting('max_connections')::integer
    - current_setting('superuser_reserved_connections')::integer AS most,
    d.eldest,
    d.age
FROM (
    SELECT e.datname::text AS eldest, greatest(age(e.datfrozenxid), mxid_age(e.datminmxid)) AS age
    FROM pg_database AS e
    ORDER BY 2 DESC, 1 ASC
    LIMIT 1
) AS d
