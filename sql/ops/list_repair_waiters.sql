-- Who waits to write history that this session keeps locked: a migrate that began before or meanwhile.
-- Not of pg_stat_activity, which a transaction sees as it was when it looked first.
-- returns: pid
SELECT l.pid
FROM pg_locks AS l
WHERE
    NOT l.granted AND l.pid <> pg_backend_pid()
    AND l.locktype = 'relation' AND l.relation = to_regclass('django_migrations')
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
ORDER BY l.pid ASC
