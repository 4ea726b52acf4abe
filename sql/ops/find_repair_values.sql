-- Tell whether a column holds anything but nulls and the value with which it was added, which the catalogue remembers.
-- params: relation_name, column_name
-- idents: relation
-- returns: has_values
SELECT EXISTS(
    SELECT 1
    FROM {relation} AS t
    CROSS JOIN (
        SELECT array_to_json(a.attmissingval)::jsonb -> 0 AS added
        FROM pg_attribute AS a
        WHERE a.attrelid = to_regclass(%(relation_name)s::text) AND a.attname = %(column_name)s::text
    ) AS c
    WHERE
        to_jsonb(t) -> %(column_name)s::text <> 'null'::jsonb
        AND to_jsonb(t) -> %(column_name)s::text IS DISTINCT FROM c.added
) AS has_values
