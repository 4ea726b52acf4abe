-- Add one to the counters of a range of keys.
-- params: first, last
-- returns: id, v
UPDATE bench_counter AS c
SET v = c.v + 1
WHERE c.id BETWEEN %(first)s::bigint AND %(last)s::bigint
RETURNING c.id, c.v
