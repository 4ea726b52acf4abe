-- Remove a report's rollup: its triggers, markers and sums.
-- params: report
-- returns: removed
SELECT ops_rollup_remove(%(report)s::text) AS removed
