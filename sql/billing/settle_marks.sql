-- Forget the marks of a run that is done.
-- params: run
-- returns: settled
WITH settled AS (
    DELETE FROM billing_mark AS m
    WHERE m.run_id = %(run)s::bigint
    RETURNING m.id
)

SELECT count(*) AS settled FROM settled
