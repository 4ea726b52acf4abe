-- The sequences of some schemas, with the table and the column that own one; those of identities are left out.
-- params: schemas
-- returns: kind, object_, schema_, name, type_, start_, increment_, min_, max_, cache_, cycle_, persistence, owned_by,
-- comment_
SELECT
    'sequence' AS kind, c.oid::bigint AS object_, n.nspname::text AS schema_, c.relname::text AS name,
    format_type(q.seqtypid, NULL) AS type_,
    q.seqstart AS start_, q.seqincrement AS increment_, q.seqmin AS min_, q.seqmax AS max_, q.seqcache AS cache_,
    q.seqcycle AS cycle_,
    c.relpersistence::text AS persistence,
    (
        SELECT ARRAY[t.relname::text, a.attname::text]
        FROM pg_depend AS d
        INNER JOIN pg_class AS t ON t.oid = d.refobjid
        INNER JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE
            d.classid = 'pg_class'::regclass
            AND d.objid = c.oid
            AND d.refclassid = 'pg_class'::regclass
            AND d.refobjsubid > 0
            AND d.deptype = 'a'
    ) AS owned_by,
    o.description AS comment_
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
INNER JOIN pg_sequence AS q ON q.seqrelid = c.oid
LEFT JOIN pg_description AS o ON o.classoid = 'pg_class'::regclass AND o.objoid = c.oid AND o.objsubid = 0
WHERE
    n.nspname = any(%(schemas)s::text[])
    AND c.relkind = 'S'
    AND c.relpersistence <> 't'
    AND c.relname !~ '^ops_repair'
    AND NOT EXISTS (
        SELECT 1 FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype IN ('e', 'i')
    )
ORDER BY n.nspname ASC, c.relname ASC
