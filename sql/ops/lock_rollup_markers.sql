-- Take hold of the markers of buckets (of all, where that is what they say), but for those that a write holds on to.
-- params: report, buckets, whole
-- returns: id
SELECT m.id
FROM ops_rolluptouched AS m
WHERE
    m.report = %(report)s::text
    AND (m.bucket = ANY(%(buckets)s::timestamptz[]) OR (%(whole)s::boolean AND m.bucket IS NULL))
ORDER BY m.id ASC
FOR UPDATE SKIP LOCKED
