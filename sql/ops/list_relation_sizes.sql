-- List tables that there are of those named, with their rows as the statistics have them and their bytes on disk.
-- params: relations
-- returns: relation, estimated_rows, bytes
SELECT
    named.relation,
    greatest(c.reltuples, 0)::bigint AS estimated_rows,
    pg_total_relation_size(c.oid) AS bytes
FROM unnest(%(relations)s::text[]) AS named (relation)
INNER JOIN pg_class AS c ON c.oid = to_regclass(named.relation)
ORDER BY bytes DESC, named.relation ASC
