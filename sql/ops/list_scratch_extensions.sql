-- Extensions of this database that no new database has, with the schema that each is in.
-- returns: extname, nspname
SELECT e.extname::text AS extname, n.nspname::text AS nspname
FROM pg_extension AS e
INNER JOIN pg_namespace AS n ON e.extnamespace = n.oid
WHERE e.extname <> 'plpgsql'
ORDER BY e.oid ASC
