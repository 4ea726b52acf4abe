-- The triggers of some tables and views, without those of constraints and those that a partition has from its parent.
-- params: relations
-- returns: kind, object_, relation, name, definition_, enabled, function_, comment_
SELECT
    'trigger' AS kind, t.oid::bigint AS object_, t.tgrelid::bigint AS relation, t.tgname::text AS name,
    pg_get_triggerdef(t.oid) AS definition_,
    t.tgenabled::text AS enabled,
    ARRAY[u.nspname::text, p.proname::text, oidvectortypes(p.proargtypes)] AS function_,
    o.description AS comment_
FROM pg_trigger AS t
INNER JOIN pg_proc AS p ON p.oid = t.tgfoid
INNER JOIN pg_namespace AS u ON u.oid = p.pronamespace
LEFT JOIN pg_description AS o ON o.classoid = 'pg_trigger'::regclass AND o.objoid = t.oid AND o.objsubid = 0
WHERE
    t.tgrelid = any(%(relations)s::oid[])
    AND NOT t.tgisinternal
    AND t.tgparentid = 0
    AND t.tgname !~ '^ops_repair'
    AND NOT EXISTS (
        SELECT 1 FROM pg_depend AS d
        WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.deptype = 'e'
    )
ORDER BY t.tgrelid ASC, t.tgname ASC
