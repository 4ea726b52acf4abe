-- Bind all marks that can be seen to a run, before it reads what it prices from.
-- A change that commits later leaves a mark of its own, for the next run.
-- params: run
-- returns: claimed
WITH claimed AS (
    UPDATE billing_mark AS m
    SET run_id = %(run)s::bigint
    WHERE m.run_id IS NULL
    RETURNING m.id
)

SELECT count(*) AS claimed FROM claimed
