-- The views that read a column of a table.
-- params: relation, name
-- returns: dependent
SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS dependent
FROM pg_depend AS d
INNER JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
INNER JOIN pg_rewrite AS r ON r.oid = d.objid
INNER JOIN pg_class AS c ON c.oid = r.ev_class
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    d.classid = 'pg_rewrite'::regclass
    AND d.refclassid = 'pg_class'::regclass
    AND d.refobjid = to_regclass(%(relation)s::text)
    AND a.attname = %(name)s::name
ORDER BY 1 ASC
