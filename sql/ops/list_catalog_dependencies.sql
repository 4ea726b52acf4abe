-- What views, functions, triggers, types, policies and rules of users need, by the catalogue and number of each.
-- A view's rule stands for the view, an array for its element, the type of a table's rows for the table.
-- params: least
-- returns: catalogue, object_, needed_catalogue, needed
WITH users AS (
    SELECT d.classid, d.objid, d.refclassid, d.refobjid
    FROM pg_depend AS d
    WHERE
        d.classid IN (
            'pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_trigger'::regclass, 'pg_type'::regclass,
            'pg_policy'::regclass, 'pg_class'::regclass
        )
        AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_collation'::regclass)
        AND d.deptype IN ('n', 'a')
        AND d.objid >= %(least)s::oid
        AND d.refobjid >= %(least)s::oid
),

-- An attribute of a composite type needs its type.
own AS (
    SELECT
        CASE
            WHEN r.ev_type = '1' THEN 'pg_class' WHEN c.relkind = 'c' THEN 'pg_type' ELSE u.classid::regclass::text
        END AS catalogue,
        (
            CASE WHEN r.ev_type = '1' THEN r.ev_class WHEN c.relkind = 'c' THEN c.reltype ELSE u.objid END
        )::bigint AS object_,
        CASE WHEN t.typrelid <> 0 AND k.relkind <> 'c' THEN 'pg_class' ELSE u.refclassid::regclass::text END
            AS needed_catalogue,
        (
            CASE
                WHEN t.typrelid <> 0 AND k.relkind <> 'c' THEN t.typrelid
                WHEN t.typcategory = 'A' THEN t.typelem
                ELSE u.refobjid
            END
        )::bigint AS needed
    FROM users AS u
    LEFT JOIN pg_rewrite AS r ON u.classid = 'pg_rewrite'::regclass AND r.oid = u.objid
    LEFT JOIN pg_class AS c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid
    LEFT JOIN pg_type AS t ON u.refclassid = 'pg_type'::regclass AND t.oid = u.refobjid
    LEFT JOIN pg_class AS k ON k.oid = t.typrelid
    WHERE u.classid <> 'pg_class'::regclass OR c.relkind = 'c'
)

SELECT DISTINCT w.catalogue, w.object_, w.needed_catalogue, w.needed
FROM own AS w
WHERE (w.catalogue, w.object_) <> (w.needed_catalogue, w.needed)
ORDER BY w.catalogue ASC, w.object_ ASC, w.needed_catalogue ASC, w.needed ASC
