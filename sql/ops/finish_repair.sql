-- Record how a repair ended, or, while it runs, by which row of ops_run it is known.
-- params: repair, state, message, run
-- returns: repair
UPDATE ops_repair AS r
SET
    state = %(state)s::text,
    message = %(message)s::text,
    run = coalesce(%(run)s::bigint, r.run),
    ended = CASE WHEN %(state)s::text = 'running' THEN NULL ELSE clock_timestamp() END
WHERE r.repair = %(repair)s::uuid
RETURNING r.repair
