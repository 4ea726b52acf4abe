-- Forget runs with their events, windows, rejects and those changesets whose month is not dropped whole.
-- What they saved of reports stays.
-- params: runs
-- returns: id
WITH changesets AS (
    DELETE FROM ops_changeset AS c
    WHERE c.run_id = any(%(runs)s::bigint[])
),

events AS (
    DELETE FROM ops_runevent AS e
    WHERE e.run_id = any(%(runs)s::bigint[])
),

rejects AS (
    DELETE FROM ops_reject AS j
    WHERE j.run_id = any(%(runs)s::bigint[])
),

windows AS (
    DELETE FROM ops_window AS w
    WHERE w.run_id = any(%(runs)s::bigint[])
),

results AS (
    UPDATE ops_reportresult AS s
    SET run_id = NULL
    WHERE s.run_id = any(%(runs)s::bigint[])
)

DELETE FROM ops_run AS r
WHERE r.id = any(%(runs)s::bigint[])
RETURNING r.id
