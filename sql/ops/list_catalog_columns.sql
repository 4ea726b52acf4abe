-- The columns of some tables, in their order. A serial column is told by a default that is nextval of a sequence that
-- the column owns; its sequence, or that of an identity, is a part of the column.
-- params: tables
-- returns: kind, relation, name, type_, collation_, not_null, not_null_valid, default_, identity, generated,
-- expression_, serial_, sequence_, sequence_type, sequence_options, inherited, comment_
WITH given AS (
    SELECT f.adrelid, f.adnum, pg_get_expr(f.adbin, f.adrelid) AS expression_
    FROM pg_attrdef AS f
    WHERE f.adrelid = any(%(tables)s::oid[])
),

owned AS (
    SELECT
        d.refobjid AS relation, d.refobjsubid AS place, s.relname::text AS sequence_, d.deptype,
        format_type(q.seqtypid, NULL) AS sequence_type,
        ARRAY[q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle::integer] AS sequence_options,
        -- A domain's default is cast to it.
        regexp_replace(g.expression_, '^\((nextval\(.*\))\)::[^'']*$', '\1')
        = 'nextval(' || quote_literal(quote_ident(n.nspname) || '.' || quote_ident(s.relname)) || '::regclass)'
            AS serial_
    FROM pg_depend AS d
    INNER JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
    INNER JOIN pg_namespace AS n ON n.oid = s.relnamespace
    INNER JOIN pg_sequence AS q ON q.seqrelid = s.oid
    LEFT JOIN given AS g ON g.adrelid = d.refobjid AND g.adnum = d.refobjsubid
    WHERE
        d.classid = 'pg_class'::regclass
        AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid = any(%(tables)s::oid[])
        AND d.refobjsubid > 0
        AND d.deptype IN ('a', 'i')
),

chosen AS (
    SELECT DISTINCT ON (w.relation, w.place)
        w.relation, w.place, w.sequence_, w.sequence_type, w.sequence_options, coalesce(w.serial_, FALSE) AS serial_
    FROM owned AS w
    ORDER BY w.relation ASC, w.place ASC, w.deptype DESC, w.serial_ DESC NULLS LAST, w.sequence_ ASC
),

unproven AS (
    SELECT k.conrelid, k.conkey[1] AS place
    FROM pg_constraint AS k
    WHERE k.conrelid = any(%(tables)s::oid[]) AND k.contype = 'n' AND NOT k.convalidated
)

SELECT
    'column' AS kind, a.attrelid::bigint AS relation, a.attname::text AS name,
    format_type(a.atttypid, a.atttypmod) AS type_,
    CASE WHEN a.attcollation <> t.typcollation THEN quote_ident(v.nspname) || '.' || quote_ident(l.collname) END
        AS collation_,
    a.attnotnull AS not_null,
    u.place IS NULL AS not_null_valid,
    CASE WHEN a.attgenerated = '' AND NOT coalesce(h.serial_, FALSE) THEN g.expression_ END AS default_,
    a.attidentity::text AS identity,
    a.attgenerated::text AS generated,
    CASE WHEN a.attgenerated <> '' THEN g.expression_ END AS expression_,
    coalesce(h.serial_, FALSE) AS serial_,
    h.sequence_, h.sequence_type, h.sequence_options,
    a.attinhcount > 0 AND NOT a.attislocal AND NOT c.relispartition AS inherited,
    o.description AS comment_
FROM pg_attribute AS a
INNER JOIN pg_class AS c ON c.oid = a.attrelid
INNER JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
LEFT JOIN pg_namespace AS v ON v.oid = l.collnamespace
LEFT JOIN given AS g ON g.adrelid = a.attrelid AND g.adnum = a.attnum
LEFT JOIN chosen AS h ON h.relation = a.attrelid AND h.place = a.attnum
LEFT JOIN unproven AS u ON u.conrelid = a.attrelid AND u.place = a.attnum
LEFT JOIN pg_description AS o
    ON o.classoid = 'pg_class'::regclass AND o.objoid = a.attrelid AND o.objsubid = a.attnum
WHERE a.attrelid = any(%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid ASC, a.attnum ASC
