-- Forget the rejects of a run that will be found again when its input is read again.
-- params: run
-- returns: id
DELETE FROM ops_reject AS j
WHERE j.run_id = %(run)s::bigint AND j.found <> 'merged'
RETURNING j.id
