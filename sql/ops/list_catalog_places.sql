-- The names of some relations, and of those that their foreign keys refer to, with the columns of each by number: other
-- statements name them by number, for looking up a name for each row costs more than all else.
-- params: relations
-- returns: relation, schema_, name, places, columns_
WITH wanted AS (
    SELECT r.relation FROM unnest(%(relations)s::oid[]) AS r (relation)
    UNION
    SELECT k.confrelid AS relation
    FROM pg_constraint AS k
    WHERE k.conrelid = any(%(relations)s::oid[]) AND k.contype = 'f'
)

SELECT
    c.oid::bigint AS relation, n.nspname::text AS schema_, c.relname::text AS name,
    array_agg(a.attnum::integer) AS places,
    array_agg(a.attname::text) AS columns_
FROM wanted AS w
INNER JOIN pg_class AS c ON c.oid = w.relation
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
GROUP BY c.oid, n.nspname, c.relname
ORDER BY c.oid ASC
