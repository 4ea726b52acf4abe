-- About how many rows and pages a table has, its partitions together, by the last ANALYZE or VACUUM; null where there
-- was none.
-- params: relation
-- returns: rows, pages
SELECT
    nullif(sum(c.reltuples) FILTER (WHERE c.reltuples >= 0), 0)::bigint AS rows,
    sum(c.relpages)::bigint AS pages
FROM pg_class AS c
WHERE
    c.relkind IN ('r', 'm')
    AND (
        c.oid = %(relation)s::regclass
        OR c.oid IN (SELECT p.relid::oid FROM pg_partition_tree(%(relation)s::regclass) AS p)
    )
