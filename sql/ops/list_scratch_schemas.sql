-- Schemas of this database that are neither the system's nor an extension's.
-- returns: nspname
SELECT n.nspname::text AS nspname
FROM pg_namespace AS n
WHERE
    n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema'
    AND NOT EXISTS (
        SELECT 1 FROM pg_depend AS d
        WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e'
    )
ORDER BY n.nspname ASC
