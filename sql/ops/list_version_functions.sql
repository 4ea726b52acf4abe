-- The functions that move and read versions as they are in the database, where its tables of versions are.
-- params: names
-- returns: callee, body, is_definer, is_owned, owner_name
SELECT
    p.proname AS callee,
    p.prosrc AS body,
    p.prosecdef AS is_definer,
    pg_has_role(p.proowner, 'USAGE') AS is_owned,
    pg_get_userbyid(p.proowner) AS owner_name
FROM pg_proc AS p
INNER JOIN pg_class AS c ON c.oid = to_regclass('ops_tableversion') AND c.relnamespace = p.pronamespace
WHERE p.proname = ANY(%(names)s::text[])
ORDER BY p.proname ASC
