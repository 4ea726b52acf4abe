-- See that the changesets of a month have their partition.
-- params: month
-- returns: opened
SELECT ops_open_month(%(month)s::date) AS opened
