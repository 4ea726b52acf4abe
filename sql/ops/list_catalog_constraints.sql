-- The constraints of some tables: primary keys, unique, check and exclusion constraints and foreign keys. What a
-- partition or a child has from its parent is the parent's; NOT NULL is the column's.
-- A constraint whose own triggers do not fire lets everything in: they are named by schema, table and name.
-- params: tables
-- returns: kind, relation, name, contype, definition_, valid_, enforced_, columns_, deferrable_, deferred_,
-- references_, reference_columns, nulls_not_distinct, index_definition, options_,
-- replica_identity, disabled_, comment_
WITH disabled AS (
    -- Each partition has its own.
    SELECT
        coalesce(nullif(k.conparentid, 0), k.oid) AS of_constraint,
        json_agg(json_build_array(n.nspname, c.relname, t.tgname) ORDER BY t.oid ASC) AS names
    FROM pg_trigger AS t
    INNER JOIN pg_constraint AS k ON k.oid = t.tgconstraint
    INNER JOIN pg_class AS c ON c.oid = t.tgrelid
    INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE t.tgisinternal AND t.tgenabled IN ('D', 'R')
    GROUP BY coalesce(nullif(k.conparentid, 0), k.oid)
)

SELECT
    'constraint' AS kind, k.conrelid::bigint AS relation, k.conname::text AS name,
    k.contype::text AS contype,
    CASE
        WHEN k.convalidated THEN pg_get_constraintdef(k.oid)
        ELSE regexp_replace(pg_get_constraintdef(k.oid), ' NOT (VALID|ENFORCED)$', '')
    END AS definition_,
    k.convalidated AS valid_,
    k.convalidated OR pg_get_constraintdef(k.oid) !~ ' NOT ENFORCED$' AS enforced_,
    k.conkey::integer[] AS columns_,
    k.condeferrable AS deferrable_,
    k.condeferred AS deferred_,
    nullif(k.confrelid, 0)::bigint AS references_,
    k.confkey::integer[] AS reference_columns,
    coalesce(i.indnullsnotdistinct, FALSE) AS nulls_not_distinct,
    -- The name of the index is that of the constraint, and is left out of what is compared.
    CASE
        WHEN i.indisunique
            THEN 'CREATE UNIQUE INDEX ?' || substr(
                pg_get_indexdef(x.oid), length('CREATE UNIQUE INDEX ' || quote_ident(x.relname)) + 1
            )
        WHEN x.oid IS NOT NULL
            THEN 'CREATE INDEX ?' || substr(
                pg_get_indexdef(x.oid), length('CREATE INDEX ' || quote_ident(x.relname)) + 1
            )
    END AS index_definition,
    coalesce(x.reloptions, '{{}}') AS options_,
    coalesce(i.indisreplident, FALSE) AS replica_identity,
    d.names AS disabled_,
    o.description AS comment_
FROM pg_constraint AS k
-- A foreign key names the index that it refers to.
LEFT JOIN pg_class AS x ON x.oid = k.conindid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_index AS i ON i.indexrelid = x.oid
LEFT JOIN disabled AS d ON d.of_constraint = k.oid
LEFT JOIN pg_description AS o ON o.classoid = 'pg_constraint'::regclass AND o.objoid = k.oid AND o.objsubid = 0
WHERE
    k.conrelid = any(%(tables)s::oid[])
    AND k.contype IN ('p', 'u', 'c', 'x', 'f')
    AND k.conparentid = 0
    AND (k.conislocal OR k.coninhcount = 0)
ORDER BY k.conrelid ASC, k.conname ASC
