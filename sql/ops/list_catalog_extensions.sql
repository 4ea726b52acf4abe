-- The extensions of the database, wherever they lie, unless they lie in the schema given: the server's own.
-- params: system_schema
-- returns: kind, object_, schema_, name, version_, comment_
SELECT
    'extension' AS kind, e.oid::bigint AS object_, n.nspname::text AS schema_, e.extname::text AS name,
    e.extversion AS version_,
    o.description AS comment_
FROM pg_extension AS e
INNER JOIN pg_namespace AS n ON n.oid = e.extnamespace
LEFT JOIN pg_description AS o ON o.classoid = 'pg_extension'::regclass AND o.objoid = e.oid AND o.objsubid = 0
WHERE n.nspname <> %(system_schema)s::text
ORDER BY e.extname ASC
