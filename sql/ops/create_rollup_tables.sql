-- Make the function that returns a table and its partitions, or what inherits from it: a write may name any of them.
-- A table has another file once it was rewritten, by which values may have changed that no trigger sees.
CREATE OR REPLACE FUNCTION ops_rollup_tables(relation regclass)
RETURNS TABLE (id oid, name text, kind text, file bigint)
LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE tree AS (
        SELECT relation::oid AS id
        UNION
        SELECT i.inhrelid
        FROM tree AS t
        INNER JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.id
        WHERE NOT i.inhdetachpending
    )
    SELECT t.id, pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relkind::text, c.relfilenode::bigint
    FROM tree AS t
    INNER JOIN pg_catalog.pg_class AS c ON c.oid = t.id
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
$$
