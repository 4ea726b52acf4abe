-- Write that schedules were looked at and are as they were.
-- params: names, seen_at
-- returns: name
UPDATE ops_schedule
SET seen_at = %(seen_at)s::timestamptz
WHERE
    name = any(%(names)s::text[])
    AND seen_at < %(seen_at)s::timestamptz
RETURNING name
