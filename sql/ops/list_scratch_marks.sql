-- A mark for each relation that changes with whatever its columns, constraints and indexes are: the transactions that
-- wrote their rows of the catalogue, those of defaults, comments and of sequences that columns own among them.
-- params: relations
-- returns: relation, mark
WITH parts AS (
    SELECT c.oid AS relation, c.oid AS part, 0 AS place, c.xmin AS writer
    FROM pg_class AS c
    UNION ALL
    SELECT a.attrelid AS relation, a.attrelid AS part, a.attnum AS place, a.xmin AS writer
    FROM pg_attribute AS a
    UNION ALL
    SELECT d.adrelid AS relation, d.oid AS part, 0 AS place, d.xmin AS writer
    FROM pg_attrdef AS d
    UNION ALL
    SELECT k.conrelid AS relation, k.oid AS part, 0 AS place, k.xmin AS writer
    FROM pg_constraint AS k
    UNION ALL
    SELECT k.conrelid AS relation, t.oid AS part, 1 AS place, t.xmin AS writer
    FROM pg_trigger AS t
    INNER JOIN pg_constraint AS k ON k.oid = t.tgconstraint
    WHERE t.tgisinternal AND t.tgenabled <> 'O'
    UNION ALL
    SELECT i.indrelid AS relation, i.indexrelid AS part, 1 AS place, i.xmin AS writer
    FROM pg_index AS i
    UNION ALL
    SELECT i.indrelid AS relation, c.oid AS part, 0 AS place, c.xmin AS writer
    FROM pg_index AS i
    INNER JOIN pg_class AS c ON c.oid = i.indexrelid
    UNION ALL
    SELECT d.refobjid AS relation, q.seqrelid AS part, d.refobjsubid AS place, q.xmin AS writer
    FROM pg_sequence AS q
    INNER JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = q.seqrelid
    WHERE d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    UNION ALL
    SELECT c.oid AS relation, o.objoid AS part, o.objsubid AS place, o.xmin AS writer
    FROM pg_description AS o
    INNER JOIN pg_class AS c ON c.oid = o.objoid
    WHERE o.classoid = 'pg_class'::regclass
    UNION ALL
    SELECT k.conrelid AS relation, o.objoid AS part, 1 AS place, o.xmin AS writer
    FROM pg_description AS o
    INNER JOIN pg_constraint AS k ON k.oid = o.objoid
    WHERE o.classoid = 'pg_constraint'::regclass
    UNION ALL
    SELECT i.indrelid AS relation, o.objoid AS part, 2 AS place, o.xmin AS writer
    FROM pg_description AS o
    INNER JOIN pg_index AS i ON i.indexrelid = o.objoid
    WHERE o.classoid = 'pg_class'::regclass
)

SELECT
    p.relation::bigint AS relation,
    count(*)::text || '/' || sum(hashtextextended(format('%%s %%s %%s', p.part, p.place, p.writer), 0))::text AS mark
FROM parts AS p
WHERE p.relation = any(%(relations)s::oid[])
GROUP BY p.relation
ORDER BY p.relation ASC
