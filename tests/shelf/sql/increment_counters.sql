-- Add to the counters of a batch.
-- params: by
UPDATE shelf_counter AS c
SET v = c.v + %(by)s::bigint
FROM pg_temp.ops_batch AS b
WHERE c.id = b.id
