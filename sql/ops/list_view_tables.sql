-- List the tables that a view reads, and those beneath views in it; and whether each is among the names.
-- params: view, names
-- returns: name, named
WITH RECURSIVE seen AS (
    SELECT to_regclass(%(view)s::text)::oid AS oid
    UNION
    SELECT d.refobjid
    FROM seen AS s
    INNER JOIN pg_rewrite AS r ON s.oid = r.ev_class
    INNER JOIN pg_depend AS d ON r.oid = d.objid
    WHERE
        d.classid = 'pg_rewrite'::regclass
        AND d.refclassid = 'pg_class'::regclass
        -- A rule depends on its own view, too.
        AND d.refobjid <> r.ev_class
)

SELECT
    c.oid::regclass::text AS name,
    c.oid IN (SELECT to_regclass(n.name) FROM unnest(%(names)s::text[]) AS n (name)) AS named
FROM seen AS s
INNER JOIN pg_class AS c ON s.oid = c.oid
WHERE c.relkind NOT IN ('v', 'c')
ORDER BY c.oid::regclass::text
