-- The indexes that bear a name, in a schema where one is given, and whether one is being built.
-- params: name, schema
-- returns: index_id, schema_name, is_valid, building, definition
SELECT
    c.oid::bigint AS index_id, n.nspname::text AS schema_name, i.indisvalid AND i.indisready AS is_valid,
    EXISTS(SELECT 1 FROM pg_stat_progress_create_index AS p WHERE p.index_relid = c.oid) AS building,
    pg_get_indexdef(c.oid) AS definition
FROM pg_class AS c
INNER JOIN pg_index AS i ON i.indexrelid = c.oid
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname ~ ('^' || %(name)s::text || '$') AND n.nspname = coalesce(%(schema)s::text, n.nspname)
ORDER BY c.oid ASC
