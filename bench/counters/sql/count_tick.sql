-- Bring one counter to what it ought to be: the tick of a schedule, which writes at most one row.
-- params: n
-- returns: id, v
SELECT
    c.id,
    c.base + 1 AS v
FROM bench_counter AS c
WHERE c.id = %(n)s::bigint
