-- How many buckets of some reports wait to be computed; all of a report, of which nobody knows how many, count as one.
-- params: reports
-- returns: touched
SELECT count(*) AS touched
FROM (
    SELECT DISTINCT
        m.report,
        m.bucket
    FROM ops_rolluptouched AS m
    WHERE m.report = ANY(%(reports)s::text[])
) AS t
