-- What happened to runs since an instant, by kind. Events are numbered in the order in which they were recorded, give
-- or take the length of a transaction: so all since are among those after the last one that is older than `before`.
-- params: since, before
-- returns: what, events
SELECT e.what, count(*) AS events
FROM ops_runevent AS e
WHERE
    e.at >= %(since)s::timestamptz
    AND e.id > coalesce((
        SELECT o.id
        FROM ops_runevent AS o
        WHERE o.at < %(before)s::timestamptz
        ORDER BY o.id DESC
        LIMIT 1
    ), 0)
GROUP BY e.what
