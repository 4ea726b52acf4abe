-- List the columns of a table or view with their types, those beneath domains; nothing where there is no such relation.
-- params: relation
-- returns: name, kind
SELECT
    a.attname AS name,
    format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS kind
FROM pg_attribute AS a
INNER JOIN pg_type AS t ON a.atttypid = t.oid
WHERE
    a.attrelid = to_regclass(%(relation)s::text)
    AND a.attnum > 0
    AND NOT a.attisdropped
ORDER BY a.attnum
