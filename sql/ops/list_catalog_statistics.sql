-- The extended statistics of some tables.
-- params: relations
-- returns: kind, object_, schema_, table_, name, definition_, comment_
SELECT
    'statistics' AS kind, s.oid::bigint AS object_, n.nspname::text AS schema_, c.relname::text AS table_,
    s.stxname::text AS name,
    pg_get_statisticsobjdef(s.oid) AS definition_,
    o.description AS comment_
FROM pg_statistic_ext AS s
INNER JOIN pg_class AS c ON c.oid = s.stxrelid
INNER JOIN pg_namespace AS n ON n.oid = s.stxnamespace
LEFT JOIN pg_description AS o ON o.classoid = 'pg_statistic_ext'::regclass AND o.objoid = s.oid AND o.objsubid = 0
WHERE s.stxrelid = any(%(relations)s::oid[])
ORDER BY n.nspname ASC, s.stxname ASC
