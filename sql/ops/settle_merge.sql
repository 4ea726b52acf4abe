-- Make a load's rows ready to be read in ranges.
-- params: load
-- returns: settled
SELECT ops_settle_merge(%(load)s::bigint) AS settled
