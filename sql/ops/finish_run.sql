-- End a run, or stop it resumably, if this owner still holds it.
-- params: run, fence, state, message
-- returns: id
UPDATE ops_run AS r
SET
    state = %(state)s::text,
    message = %(message)s::text,
    finished_at = CASE WHEN %(state)s::text = 'stopped' THEN NULL ELSE clock_timestamp() END
WHERE r.id = %(run)s::bigint AND r.fence = %(fence)s::bigint AND r.state = 'running'
RETURNING r.id
