-- Let times without an offset in this transaction be those of a zone; return which zone it was before.
-- params: zone
-- returns: before, taken
WITH present AS MATERIALIZED (SELECT current_setting('TimeZone') AS zone_name)

SELECT p.zone_name AS before, set_config('TimeZone', %(zone)s::text, TRUE) AS taken FROM present AS p
