-- Move a run's cursor and counters on, in the transaction of the batch that they describe.
-- Returns no row where the run has another owner by now (its fence moved) or was stopped by someone.
-- params: run, fence, cursor, changed, batches, left_alone
-- returns: wish
UPDATE ops_run AS r
SET
    cursor = %(cursor)s::jsonb,
    changed = r.changed + %(changed)s::bigint,
    batches = r.batches + %(batches)s::integer,
    left_alone = r.left_alone + %(left_alone)s::bigint,
    heartbeat_at = clock_timestamp()
WHERE r.id = %(run)s::bigint AND r.fence = %(fence)s::bigint AND r.state = 'running'
RETURNING r.wish
