-- The schemas to read: those named, or all that are neither the server's nor an extension's.
-- params: schemas
-- returns: kind, object_, schema_, name, owner_, comment_
SELECT
    'schema' AS kind, n.oid::bigint AS object_, n.nspname::text AS schema_, n.nspname::text AS name,
    pg_get_userbyid(n.nspowner)::text AS owner_,
    o.description AS comment_
FROM pg_namespace AS n
LEFT JOIN pg_description AS o ON o.classoid = 'pg_namespace'::regclass AND o.objoid = n.oid AND o.objsubid = 0
WHERE
    n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema'
    AND (
        n.nspname = any(%(schemas)s::text[])
        OR (
            %(schemas)s::text[] IS NULL
            AND NOT EXISTS (
                SELECT 1 FROM pg_depend AS d
                WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e'
            )
        )
    )
ORDER BY n.nspname ASC
