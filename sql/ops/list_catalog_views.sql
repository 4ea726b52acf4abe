-- The views and materialized views of some schemas.
-- params: schemas
-- returns: kind, object_, schema_, name, definition_, options_, populated, comment_
SELECT
    CASE WHEN c.relkind = 'v' THEN 'view' ELSE 'materialized view' END AS kind,
    c.oid::bigint AS object_, n.nspname::text AS schema_, c.relname::text AS name,
    rtrim(btrim(pg_get_viewdef(c.oid)), ';') AS definition_,
    coalesce(c.reloptions, '{{}}') AS options_,
    c.relispopulated AS populated,
    o.description AS comment_
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_description AS o ON o.classoid = 'pg_class'::regclass AND o.objoid = c.oid AND o.objsubid = 0
WHERE
    n.nspname = any(%(schemas)s::text[])
    AND c.relkind IN ('v', 'm')
    AND c.relpersistence <> 't'
    AND c.relname !~ '^ops_repair'
    AND NOT EXISTS (
        SELECT 1 FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
    )
ORDER BY n.nspname ASC, c.relname ASC
