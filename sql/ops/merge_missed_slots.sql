-- Record slots that were missed: they lengthen the stretch that ended where the frontier was, for the same reason.
-- params: schedule, first, last, count, reason, frontier
-- returns: id
WITH longer AS (
    UPDATE ops_missedslots AS m
    SET last = %(last)s::timestamptz, count = m.count + %(count)s::integer, at = clock_timestamp()
    WHERE
        m.schedule = %(schedule)s::text
        AND m.last = %(frontier)s::timestamptz
        AND m.reason = %(reason)s::text
    RETURNING m.id
)

INSERT INTO ops_missedslots AS m (schedule, first, last, count, reason)
SELECT %(schedule)s::text, %(first)s::timestamptz, %(last)s::timestamptz, %(count)s::integer, %(reason)s::text
WHERE NOT EXISTS (SELECT 1 FROM longer)
ON CONFLICT (schedule, first) DO UPDATE
    SET last = greatest(m.last, excluded.last), count = greatest(m.count, excluded.count), reason = excluded.reason
RETURNING m.id
