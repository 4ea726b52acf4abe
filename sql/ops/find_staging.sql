-- Tell whether the staging tables of a load are there.
-- params: load
-- returns: there
SELECT
    to_regclass('ops_stage_' || %(load)s::text) IS NOT NULL
    AND to_regclass('ops_merge_' || %(load)s::text) IS NOT NULL AS there
