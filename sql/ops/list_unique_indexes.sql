-- The unique indexes of a table that may decide between insert and update: whole, in force, checked at once.
-- A key's part is a column's quoted name, or an expression in parentheses; names has null for an expression.
-- params: relation
-- returns: name, is_constraint, is_primary, parts, names, predicate, equal_nulls, bytewise, kinds
WITH parts AS (
    SELECT
        i.indexrelid,
        i.indrelid,
        i.indisprimary,
        i.indpred,
        i.indnullsnotdistinct,
        k.place,
        a.attname::text AS column_name,
        pg_get_indexdef(i.indexrelid, k.place::integer, FALSE) AS part, format_type(x.atttypid, x.atttypmod) AS kind,
        coalesce(o.opcname IN ('text_ops', 'varchar_ops', 'bpchar_ops') AND l.collisdeterministic, FALSE) AS bytewise
    FROM pg_index AS i
    CROSS JOIN
        unnest(i.indkey::smallint[], i.indclass::oid[], i.indcollation::oid[])
        WITH ORDINALITY AS k (attnum, opclass_id, sorting, place)
    INNER JOIN pg_attribute AS x ON x.attrelid = i.indexrelid AND x.attnum = k.place
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
    LEFT JOIN pg_opclass AS o ON o.oid = k.opclass_id
    LEFT JOIN pg_collation AS l ON l.oid = k.sorting
    WHERE
        i.indrelid = %(relation)s::regclass
        AND i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate
        AND k.place <= i.indnkeyatts
)

SELECT
    c.relname::text AS name,
    exists(
        SELECT 1 FROM pg_constraint AS k
        WHERE k.conindid = p.indexrelid AND k.contype IN ('p', 'u')
    ) AS is_constraint,
    p.indisprimary AS is_primary,
    array_agg(
        CASE WHEN p.column_name IS NULL THEN format('(%%s)', p.part) ELSE p.part END
        ORDER BY p.place
    ) AS parts,
    array_agg(p.column_name ORDER BY p.place) AS names,
    pg_get_expr(p.indpred, p.indrelid) AS predicate,
    p.indnullsnotdistinct AS equal_nulls,
    array_agg(p.bytewise ORDER BY p.place) AS bytewise,
    array_agg(p.kind ORDER BY p.place) AS kinds
FROM parts AS p
INNER JOIN pg_class AS c ON c.oid = p.indexrelid
GROUP BY c.relname, p.indexrelid, p.indrelid, p.indisprimary, p.indpred, p.indnullsnotdistinct
ORDER BY p.indisprimary DESC, c.relname ASC
