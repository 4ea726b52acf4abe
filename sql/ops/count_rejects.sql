-- The reasons of a run's rejects, the commonest first: how many records, and the first line of each.
-- params: run
-- returns: reason, records, line
SELECT j.reason, count(*) AS records, min(j.line) AS line
FROM ops_reject AS j
WHERE j.run_id = %(run)s::bigint
GROUP BY j.reason
ORDER BY records DESC, line ASC
