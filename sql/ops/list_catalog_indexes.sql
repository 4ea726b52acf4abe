-- The indexes of some tables and materialized views, without those of constraints and those that a partition has from
-- its parent. One that is being built is told by its build, or by who builds on the table where that is hidden.
-- params: relations
-- returns: kind, object_, relation, name, definition_, unique_, valid_, ready, live, columns_, predicate,
-- include_, method_, building, replica_identity, partitioned, comment_
SELECT
    'index' AS kind, x.oid::bigint AS object_, i.indrelid::bigint AS relation, x.relname::text AS name,
    CASE WHEN i.indisunique THEN 'CREATE UNIQUE INDEX ?' ELSE 'CREATE INDEX ?' END || substr(
        pg_get_indexdef(x.oid),
        length(CASE WHEN i.indisunique THEN 'CREATE UNIQUE INDEX ' ELSE 'CREATE INDEX ' END)
        + length(quote_ident(x.relname)) + 1
    ) AS definition_,
    i.indisunique AS unique_,
    i.indisvalid AS valid_,
    i.indisready AS ready,
    i.indislive AS live,
    (i.indkey::integer[])[0:i.indnkeyatts - 1] AS columns_,
    pg_get_expr(i.indpred, i.indrelid) AS predicate,
    (i.indkey::integer[])[i.indnkeyatts:] AS include_,
    m.amname::text AS method_,
    NOT i.indisvalid AND EXISTS (
        SELECT 1 FROM pg_stat_progress_create_index AS p
        WHERE
            p.index_relid = i.indexrelid
            OR (
                coalesce(p.index_relid, 0) = 0
                AND EXISTS (
                    SELECT 1 FROM pg_locks AS k
                    WHERE k.pid = p.pid AND k.relation = i.indrelid AND k.mode = 'ShareUpdateExclusiveLock'
                )
            )
    ) AS building,
    i.indisreplident AS replica_identity,
    x.relkind = 'I' AS partitioned,
    o.description AS comment_
FROM pg_index AS i
INNER JOIN pg_class AS x ON x.oid = i.indexrelid
INNER JOIN pg_am AS m ON m.oid = x.relam
LEFT JOIN pg_description AS o ON o.classoid = 'pg_class'::regclass AND o.objoid = x.oid AND o.objsubid = 0
WHERE
    i.indrelid = any(%(relations)s::oid[])
    AND NOT x.relispartition
    AND NOT EXISTS (
        SELECT 1 FROM pg_constraint AS k
        WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    )
ORDER BY i.indrelid ASC, x.relname ASC
