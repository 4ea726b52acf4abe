-- The tables of some schemas, partitioned ones and partitions too; not what extensions or a repair itself made.
-- params: schemas
-- returns: kind, object_, schema_, name, persistence, owner_, comment_, rls, force_rls, partition_key, partition_of,
-- partition_bound, inherits_, options_, replica_identity
WITH heirs AS (
    SELECT i.inhrelid, array_agg(ARRAY[u.nspname::text, p.relname::text] ORDER BY i.inhseqno ASC) AS parents
    FROM pg_inherits AS i
    INNER JOIN pg_class AS p ON p.oid = i.inhparent
    INNER JOIN pg_namespace AS u ON u.oid = p.relnamespace
    GROUP BY i.inhrelid
)

SELECT
    'table' AS kind, c.oid::bigint AS object_, n.nspname::text AS schema_, c.relname::text AS name,
    c.relpersistence::text AS persistence,
    pg_get_userbyid(c.relowner)::text AS owner_,
    o.description AS comment_,
    c.relrowsecurity AS rls,
    c.relforcerowsecurity AS force_rls,
    CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key,
    CASE WHEN c.relispartition THEN h.parents END AS partition_of,
    CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS partition_bound,
    CASE WHEN NOT c.relispartition THEN h.parents END AS inherits_,
    coalesce(c.reloptions, '{{}}')
    || ARRAY(SELECT 'toast.' || g.setting FROM unnest(t.reloptions) AS g (setting)) AS options_,
    c.relreplident::text AS replica_identity
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
LEFT JOIN pg_description AS o ON o.classoid = 'pg_class'::regclass AND o.objoid = c.oid AND o.objsubid = 0
LEFT JOIN heirs AS h ON h.inhrelid = c.oid
WHERE
    n.nspname = any(%(schemas)s::text[])
    AND c.relkind IN ('r', 'p')
    AND c.relpersistence <> 't'
    AND c.relname !~ '^ops_repair'
    AND NOT EXISTS (
        SELECT 1 FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
    )
ORDER BY n.nspname ASC, c.relname ASC
