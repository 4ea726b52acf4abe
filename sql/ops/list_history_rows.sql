-- The recorded migrations of a table that may lack any of its columns, as text; null is what it lacks.
-- idents: relation
-- returns: id, app, name, applied
SELECT
    to_jsonb(m) ->> 'id' AS id,
    to_jsonb(m) ->> 'app' AS app,
    to_jsonb(m) ->> 'name' AS name,
    to_jsonb(m) ->> 'applied' AS applied
FROM {relation} AS m
