-- Make the table of a load's records, anew.
-- params: load, width
-- returns: opened
SELECT ops_open_staging(%(load)s::bigint, %(width)s::integer) AS opened
