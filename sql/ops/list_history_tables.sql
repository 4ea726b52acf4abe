-- The tables of all schemas that are not the server's own, and whether this session's role may read each; the place of
-- its schema in the search_path is null where it is not in there.
-- returns: schema_name, name, kind, is_temp, may_read, place
SELECT
    n.nspname::text AS schema_name,
    c.relname::text AS name,
    c.relkind::text AS kind,
    c.relpersistence = 't' AS is_temp,
    has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS may_read,
    array_position(current_schemas(FALSE)::text[], n.nspname::text) AS place
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname !~ '^pg_toast'
    -- Other sessions' is_temp tables are nobody's business.
    AND (c.relpersistence <> 't' OR c.relnamespace = pg_my_temp_schema())
ORDER BY n.nspname ASC, c.relname ASC
