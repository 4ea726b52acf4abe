-- The next buckets of a report that were touched, in their order.
-- params: report, after, most
-- returns: bucket
SELECT m.bucket
FROM ops_rolluptouched AS m
WHERE m.report = %(report)s::text AND m.bucket > coalesce(%(after)s::timestamptz, '-infinity')
GROUP BY m.bucket
ORDER BY m.bucket ASC
LIMIT %(most)s::bigint
