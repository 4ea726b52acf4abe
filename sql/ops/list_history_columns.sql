-- The columns of the table of recorded migrations, with the sequence that fills each, owned by it or not.
-- params: relation
-- returns: name, data_type, length, not_null, given, identity, generated, sequence_oid, sequence_schema, sequence_name,
-- may_use, may_look, step, maximum, begins, cycles
SELECT
    a.attname::text AS name,
    format_type(a.atttypid, NULL) AS data_type,
    CASE WHEN a.atttypid = 'varchar'::regtype AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS length,
    a.attnotnull AS not_null,
    pg_get_expr(d.adbin, d.adrelid) AS given,
    a.attidentity::text AS identity,
    a.attgenerated::text AS generated,
    s.seqrelid::bigint AS sequence_oid,
    n.nspname::text AS sequence_schema,
    c.relname::text AS sequence_name,
    has_sequence_privilege(s.seqrelid, 'USAGE, UPDATE') AS may_use,
    has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(s.seqrelid, 'SELECT') AS may_look,
    s.seqincrement AS step,
    s.seqmax AS maximum,
    s.seqstart AS begins,
    s.seqcycle AS cycles
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
-- An identity's sequence depends on the column; a default depends on the sequence that it names, whoever owns that.
LEFT JOIN pg_depend AS i
    ON
        i.classid = 'pg_class'::regclass
        AND i.refclassid = 'pg_class'::regclass
        AND i.refobjid = a.attrelid
        AND i.refobjsubid = a.attnum
        AND i.deptype = 'i'
LEFT JOIN LATERAL (
    SELECT min(e.refobjid::bigint)::oid AS found
    FROM pg_depend AS e
    INNER JOIN pg_class AS r ON r.oid = e.refobjid
    WHERE
        e.classid = 'pg_attrdef'::regclass
        AND e.objid = d.oid
        AND e.refclassid = 'pg_class'::regclass
        AND r.relkind = 'S'
) AS e ON TRUE
LEFT JOIN pg_sequence AS s ON s.seqrelid = coalesce(i.objid, e.found)
LEFT JOIN pg_class AS c ON c.oid = s.seqrelid
LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    a.attrelid = %(relation)s::bigint::oid
    AND a.attnum > 0
    AND NOT a.attisdropped
ORDER BY a.attnum ASC
