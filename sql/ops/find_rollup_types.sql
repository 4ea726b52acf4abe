-- The types of the expressions and sums that a report's rollup keeps.
-- params: report
-- returns: types
SELECT r.types
FROM ops_rollup AS r
WHERE r.report = %(report)s::text
