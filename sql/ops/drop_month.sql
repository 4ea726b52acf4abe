-- Drop the changesets of a month, all of whose runs are to be pruned.
-- params: month
-- returns: dropped
SELECT ops_drop_month(%(month)s::date) AS dropped
