-- Read the server's clock, and how far a schedule's slots are settled: nulls for one that was never seen.
-- params: name
-- returns: now, settled_at, seen_at, rule
SELECT clock_timestamp() AS now, s.settled_at, s.seen_at, s.rule
FROM (SELECT %(name)s::text AS name) AS wanted
LEFT JOIN ops_schedule AS s ON wanted.name = s.name
