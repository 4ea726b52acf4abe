-- The full names of types that are named as a search_path finds them; those that there are not are left out.
-- params: types
-- returns: given, spelled
SELECT g.given::text AS given, quote_ident(n.nspname) || '.' || quote_ident(t.typname) AS spelled
FROM unnest(%(types)s::text[]) AS g (given)
INNER JOIN pg_type AS t ON t.oid = to_regtype(g.given)
INNER JOIN pg_namespace AS n ON n.oid = t.typnamespace
ORDER BY g.given ASC
