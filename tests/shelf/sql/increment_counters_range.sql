-- Add to the counters of a range of keys.
-- params: by, first, last
-- returns: id, v
UPDATE shelf_counter AS c
SET v = c.v + %(by)s::bigint
WHERE c.id BETWEEN %(first)s::bigint AND %(last)s::bigint
RETURNING c.id, c.v
