-- Give the marks of a run that ended before it was done back to the next run.
-- params: run
-- returns: released
WITH released AS (
    UPDATE billing_mark AS m
    SET run_id = NULL
    WHERE m.run_id = %(run)s::bigint
    RETURNING m.id
)

SELECT count(*) AS released FROM released
