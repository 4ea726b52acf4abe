-- The tables that are to have versions, each with its partitions: what they are, and whether this role may change them.
-- A family is one by inheritance, whose rows are read with their parent's; what is subscribed to is written by a
-- process that fires no trigger of a statement.
-- params: tables
-- returns: place, relation, home, relation_name, sort, part, is_family, subscribed, is_owned, owner_name, kinds
WITH wanted AS (
    SELECT
        w.place,
        to_regclass(w.name) AS relation
    FROM unnest(%(tables)s::text[]) WITH ORDINALITY AS w (name, place)
),

roots AS (
    SELECT
        w.place,
        coalesce(pg_partition_root(w.relation), w.relation) AS relation
    FROM wanted AS w
    WHERE w.relation IS NOT NULL
),

members AS (
    SELECT
        r.place,
        r.relation
    FROM roots AS r
    UNION
    SELECT
        r.place,
        t.relid AS relation
    FROM roots AS r
    CROSS JOIN LATERAL pg_partition_tree(r.relation) AS t
)

SELECT
    m.place,
    c.oid AS relation,
    n.nspname AS home,
    c.relname AS relation_name,
    c.relkind AS sort,
    c.relispartition AS part,
    NOT c.relispartition AND c.relkind <> 'p' AND EXISTS (
        SELECT 1 FROM pg_inherits AS i
        WHERE i.inhparent = c.oid OR i.inhrelid = c.oid
    ) AS is_family,
    c.oid IN (SELECT s.srrelid FROM pg_subscription_rel AS s) AS subscribed,
    pg_has_role(c.relowner, 'USAGE') AS is_owned,
    pg_get_userbyid(c.relowner) AS owner_name,
    (
        SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, NULL)) FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS kinds
FROM members AS m
INNER JOIN pg_class AS c ON c.oid = m.relation
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY m.place ASC, c.oid ASC
