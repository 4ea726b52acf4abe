-- What a name stands for: a table, partitioned (p) or not (r), a view (v), a materialised one (m), another server's
-- (f); how large it was when it was last analysed, and how many of its pages hold only rows that all can see.
-- params: relation
-- returns: kind, schema_name, name, pages, visible, rows
SELECT
    c.relkind::text AS kind,
    n.nspname::text AS schema_name,
    c.relname::text AS name,
    c.relpages AS pages,
    c.relallvisible AS visible,
    c.reltuples::bigint AS rows
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(%(relation)s::text)
