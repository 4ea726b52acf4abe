-- The check constraints of a table with the columns that they name.
-- params: relation
-- returns: name, condition, names
SELECT
    k.conname::text AS name, pg_get_expr(k.conbin, k.conrelid) AS condition,
    ARRAY(
        SELECT a.attname::text
        FROM pg_attribute AS a
        WHERE a.attrelid = k.conrelid AND a.attnum = any(k.conkey)
        ORDER BY a.attnum ASC
    ) AS names
FROM pg_constraint AS k
WHERE k.conrelid = %(relation)s::regclass AND k.contype = 'c'
ORDER BY k.conname ASC
