-- Say that a refresh of a report's rollup has come to its end; the first one after its opening has built it.
-- params: report, digest
-- returns: report
UPDATE ops_rollup AS r
SET built_at = coalesce(r.built_at, clock_timestamp()), refreshed_at = clock_timestamp()
WHERE r.report = %(report)s::text AND r.digest = %(digest)s::text
RETURNING r.report
