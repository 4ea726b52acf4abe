-- Add one to the counters of a range of keys, and return what was there: PostgreSQL 18.
-- params: first, last
-- returns: id, before_v, v
UPDATE bench_counter AS c
SET v = c.v + 1
WHERE c.id BETWEEN %(first)s::bigint AND %(last)s::bigint
RETURNING c.id, old.v AS before_v, c.v
