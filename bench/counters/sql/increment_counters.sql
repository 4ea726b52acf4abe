-- Add one to the counters of a batch.
UPDATE bench_counter AS c
SET v = c.v + 1
FROM pg_temp.ops_batch AS b
WHERE c.id = b.id
