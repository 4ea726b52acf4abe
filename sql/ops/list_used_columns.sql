-- The columns of a relation that a view names, anywhere in it, in their order.
-- Wide is a type without a bound, of which a value may not fit into an index.
-- params: view, relation
-- returns: name, wide
SELECT
    a.attname::text AS name,
    a.attlen = -1 AND a.atttypmod = -1 AND t.typcategory IN ('S', 'U', 'A', 'C') AND t.typname <> 'uuid' AS wide
FROM pg_rewrite AS r
INNER JOIN pg_depend AS d
    ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
INNER JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
INNER JOIN pg_type AS t ON t.oid = a.atttypid
WHERE
    r.ev_class = to_regclass(%(view)s::text)
    AND d.refobjid = to_regclass(%(relation)s::text)
    AND d.refobjsubid > 0
GROUP BY a.attname, a.attnum, a.attlen, a.atttypmod, t.typcategory, t.typname
ORDER BY a.attnum ASC
