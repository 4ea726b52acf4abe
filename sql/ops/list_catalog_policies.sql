-- The policies of some tables.
-- params: tables
-- returns: kind, object_, relation, name, permissive_, command_, roles_, using_, check_, comment_
SELECT
    'policy' AS kind, y.oid::bigint AS object_, y.polrelid::bigint AS relation, y.polname::text AS name,
    y.polpermissive AS permissive_,
    CASE y.polcmd
        WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL'
    END AS command_,
    -- Of nobody in particular is PUBLIC, which is no role.
    ARRAY(
        SELECT r.rolname::text FROM pg_roles AS r WHERE r.oid = any(y.polroles) ORDER BY r.rolname ASC
    ) AS roles_,
    pg_get_expr(y.polqual, y.polrelid) AS using_,
    pg_get_expr(y.polwithcheck, y.polrelid) AS check_,
    o.description AS comment_
FROM pg_policy AS y
LEFT JOIN pg_description AS o ON o.classoid = 'pg_policy'::regclass AND o.objoid = y.oid AND o.objsubid = 0
WHERE y.polrelid = any(%(tables)s::oid[])
ORDER BY y.polrelid ASC, y.polname ASC
