-- Drop the staging tables of a load.
-- params: load
-- returns: dropped
SELECT ops_drop_staging(%(load)s::bigint) AS dropped
