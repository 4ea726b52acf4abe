-- The names of the indexes and constraints of tables, as far as these are there.
-- params: tables
-- returns: relation, names
SELECT
    t.name AS relation,
    ARRAY(
        SELECT c.relname::text
        FROM pg_index AS i
        INNER JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = to_regclass(quote_ident(t.name))
        UNION
        SELECT k.conname::text
        FROM pg_constraint AS k
        WHERE k.conrelid = to_regclass(quote_ident(t.name))
    ) AS names
FROM unnest(%(tables)s::text[]) AS t (name)
WHERE to_regclass(quote_ident(t.name)) IS NOT NULL
ORDER BY t.name ASC
