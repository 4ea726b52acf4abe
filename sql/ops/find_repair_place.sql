-- Tell which backend a connection is, since when, and where the history and the audit of repairs are, if anywhere.
-- returns: pid, started, history_schema, history_name, audited, first_schema
SELECT
    pg_backend_pid() AS pid,
    (SELECT a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()) AS started,
    (
        SELECT n.nspname::text
        FROM pg_class AS c
        INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid = to_regclass('django_migrations')
    ) AS history_schema,
    (SELECT c.relname::text FROM pg_class AS c WHERE c.oid = to_regclass('django_migrations')) AS history_name,
    to_regclass('ops_repair') IS NOT NULL AND to_regclass('ops_repair_entry') IS NOT NULL AS audited,
    current_schema()::text AS first_schema
