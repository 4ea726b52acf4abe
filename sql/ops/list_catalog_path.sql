-- The schemas of the search_path that there are, in its order, the server's own left out.
-- returns: name
SELECT s.name::text AS name
FROM unnest(current_schemas(FALSE)) WITH ORDINALITY AS s (name, place)
WHERE s.name !~ '^pg_' AND s.name <> 'information_schema'
ORDER BY s.place ASC
