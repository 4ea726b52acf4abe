-- The types of some schemas that were made as such: enums, domains, composite types and ranges.
-- params: schemas
-- returns: kind, object_, schema_, name, form, labels, definition_, constraints_, comment_
SELECT
    'type' AS kind, t.oid::bigint AS object_, n.nspname::text AS schema_, t.typname::text AS name,
    CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' ELSE 'composite' END AS form,
    CASE
        WHEN t.typtype = 'e'
            THEN ARRAY(
                SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder ASC
            )
    END AS labels,
    CASE t.typtype
        WHEN 'd'
            THEN
                concat(
                    format_type(t.typbasetype, t.typtypmod),
                    CASE
                        WHEN t.typcollation <> b.typcollation
                            THEN ' COLLATE ' || quote_ident(v.nspname) || '.' || quote_ident(l.collname)
                    END,
                    ' DEFAULT ' || coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)),
                    CASE WHEN t.typnotnull THEN ' NOT NULL' END
                )
        WHEN 'c'
            THEN (
                SELECT
                    string_agg(
                        quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                        || CASE
                            WHEN a.attcollation <> f.typcollation
                                THEN ' COLLATE ' || quote_ident(y.nspname) || '.' || quote_ident(x.collname)
                            ELSE ''
                        END,
                        ', ' ORDER BY a.attnum ASC
                    )
                FROM pg_attribute AS a
                INNER JOIN pg_type AS f ON f.oid = a.atttypid
                LEFT JOIN pg_collation AS x ON x.oid = a.attcollation
                LEFT JOIN pg_namespace AS y ON y.oid = x.collnamespace
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
            )
        WHEN 'r' THEN (
            SELECT
                concat(
                    'SUBTYPE = ', format_type(r.rngsubtype, NULL),
                    ', SUBTYPE_OPCLASS = ', quote_ident(w.nspname), '.', quote_ident(p.opcname),
                    ', COLLATION = ' || quote_ident(y.nspname) || '.' || quote_ident(x.collname),
                    ', CANONICAL = ' || nullif(r.rngcanonical::oid, 0)::regproc::text,
                    ', SUBTYPE_DIFF = ' || nullif(r.rngsubdiff::oid, 0)::regproc::text,
                    ', MULTIRANGE_TYPE_NAME = ', format_type(r.rngmultitypid, NULL)
                )
            FROM pg_range AS r
            INNER JOIN pg_opclass AS p ON p.oid = r.rngsubopc
            INNER JOIN pg_namespace AS w ON w.oid = p.opcnamespace
            INNER JOIN pg_type AS f ON f.oid = r.rngsubtype
            LEFT JOIN pg_collation AS x ON x.oid = r.rngcollation AND r.rngcollation <> f.typcollation
            LEFT JOIN pg_namespace AS y ON y.oid = x.collnamespace
            WHERE r.rngtypid = t.oid
        )
    END AS definition_,
    ARRAY(
        SELECT 'CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid)
        FROM pg_constraint AS k
        WHERE k.contypid = t.oid AND k.contype = 'c'
        ORDER BY k.conname ASC
    ) AS constraints_,
    o.description AS comment_
FROM pg_type AS t
INNER JOIN pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_class AS c ON c.oid = t.typrelid
LEFT JOIN pg_type AS b ON b.oid = t.typbasetype
LEFT JOIN pg_collation AS l ON l.oid = t.typcollation
LEFT JOIN pg_namespace AS v ON v.oid = l.collnamespace
LEFT JOIN pg_description AS o ON o.classoid = 'pg_type'::regclass AND o.objoid = t.oid AND o.objsubid = 0
WHERE
    n.nspname = any(%(schemas)s::text[])
    AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
    AND t.typname !~ '^ops_repair'
    AND NOT EXISTS (
        SELECT 1 FROM pg_depend AS d
        WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.objsubid = 0 AND d.deptype = 'e'
    )
ORDER BY n.nspname ASC, t.typname ASC
