-- The collations of some schemas. Their locale has had three names from PostgreSQL 15 to 18, hence the rows as jsonb.
-- params: schemas
-- returns: kind, object_, schema_, name, definition_, comment_
SELECT
    'collation' AS kind, l.oid::bigint AS object_, n.nspname::text AS schema_, l.collname::text AS name,
    concat(
        'PROVIDER = ', CASE l.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
        CASE WHEN l.collprovider = 'c' THEN ', LC_COLLATE = ' || quote_literal(l.collcollate) END,
        CASE WHEN l.collprovider = 'c' THEN ', LC_CTYPE = ' || quote_literal(l.collctype) END,
        ', LOCALE = ' || quote_literal(coalesce(to_jsonb(l) ->> 'colllocale', to_jsonb(l) ->> 'colliculocale')),
        ', RULES = ' || quote_literal(to_jsonb(l) ->> 'collicurules'),
        CASE WHEN NOT l.collisdeterministic THEN ', DETERMINISTIC = false' END
    ) AS definition_,
    o.description AS comment_
FROM pg_collation AS l
INNER JOIN pg_namespace AS n ON n.oid = l.collnamespace
LEFT JOIN pg_description AS o ON o.classoid = 'pg_collation'::regclass AND o.objoid = l.oid AND o.objsubid = 0
WHERE
    n.nspname = any(%(schemas)s::text[])
    AND l.collname !~ '^ops_repair'
    AND NOT EXISTS (
        SELECT 1 FROM pg_depend AS d
        WHERE d.classid = 'pg_collation'::regclass AND d.objid = l.oid AND d.deptype = 'e'
    )
ORDER BY n.nspname ASC, l.collname ASC
