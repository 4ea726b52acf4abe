-- Extensions on whose types, functions or operator classes something of this database depends that is no extension's.
-- returns: extname
SELECT DISTINCT e.extname::text AS extname
FROM pg_extension AS e
INNER JOIN pg_depend AS m ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
INNER JOIN pg_depend AS u ON u.refclassid = m.classid AND u.refobjid = m.objid AND u.deptype <> 'e'
WHERE
    NOT EXISTS (
        SELECT 1 FROM pg_depend AS o
        WHERE o.classid = u.classid AND o.objid = u.objid AND o.deptype = 'e'
    )
    -- The array of a type, the rows of a table, depend on it within the extension.
    AND NOT EXISTS (
        SELECT 1 FROM pg_depend AS i
        INNER JOIN pg_depend AS w ON w.classid = i.refclassid AND w.objid = i.refobjid AND w.deptype = 'e'
        WHERE i.classid = u.classid AND i.objid = u.objid AND i.deptype = 'i'
    )
ORDER BY 1 ASC
