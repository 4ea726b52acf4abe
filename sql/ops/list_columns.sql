-- The columns of a table as the catalog has them, in their order.
-- A hash of a row is made of columns that have a hash; the others are hashed as text.
-- params: relation
-- returns: name, kind, length, required, given, generated, identity, textual, bytewise, hashable, partitioned
SELECT
    a.attname::text AS name,
    format_type(a.atttypid, a.atttypmod) AS kind,
    CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS length,
    a.attnotnull AS required,
    CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS given,
    a.attgenerated <> '' AS generated,
    a.attidentity::text AS identity,
    t.typcategory = 'S' AND t.typtype = 'b' AS textual,
    t.typname IN ('text', 'varchar', 'bpchar') AND coalesce(l.collisdeterministic, FALSE) AS bytewise,
    t.typtype = 'e' OR t.typname IN (
        'bool', 'int2', 'int4', 'int8', 'numeric', 'float4', 'float8', 'text', 'varchar', 'bpchar', 'date', 'time',
        'timestamp', 'timestamptz', 'interval', 'uuid', 'bytea', 'jsonb', 'inet', 'cidr'
    ) AS hashable,
    c.relkind = 'p' AS partitioned
FROM pg_attribute AS a
INNER JOIN pg_class AS c ON c.oid = a.attrelid
INNER JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
WHERE a.attrelid = %(relation)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum ASC
