-- Move a window on, in the transaction of the batch that this describes. A hand writes no row but its own window's.
-- Returns no row where the window has another hand by now, or the run another owner, or was ended: roll back.
-- params: window, window_fence, run, fence, after, slot, size, changed, batches, done
-- returns: id
UPDATE ops_window AS w
SET
    after = %(after)s::jsonb,
    slot = %(slot)s::integer,
    size = %(size)s::integer,
    changed = w.changed + %(changed)s::bigint,
    batches = w.batches + %(batches)s::integer,
    done = %(done)s::boolean,
    heartbeat_at = clock_timestamp()
WHERE
    w.id = %(window)s::bigint
    AND w.fence = %(window_fence)s::bigint
    AND EXISTS (
        SELECT 1 FROM ops_run AS r
        WHERE r.id = %(run)s::bigint AND r.fence = %(fence)s::bigint AND r.state = 'running'
    )
RETURNING w.id
