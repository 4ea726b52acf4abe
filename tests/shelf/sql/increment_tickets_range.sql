-- Add to the tickets of a range of keys.
-- params: by, first, last
-- returns: id, v
UPDATE shelf_ticket AS t
SET v = t.v + %(by)s::bigint
WHERE t.id BETWEEN %(first)s::uuid AND %(last)s::uuid
RETURNING t.id, t.v
