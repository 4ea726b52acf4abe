-- The loads whose staging tables are left behind: their run has ended, or is gone.
-- returns: load
SELECT DISTINCT substring(c.relname FROM '\d+$')::bigint AS load
FROM pg_class AS c
WHERE
    c.relkind = 'r'
    AND c.relname ~ '^ops_(stage|merge)_\d+$'
    AND c.relnamespace = (SELECT r.relnamespace FROM pg_class AS r WHERE r.oid = 'ops_run'::regclass)
    AND NOT EXISTS (
        SELECT 1 FROM ops_run AS r
        WHERE
            r.id = substring(c.relname FROM '\d+$')::bigint
            AND r.state IN ('queued', 'running', 'stopped', 'paused')
    )
ORDER BY load ASC
