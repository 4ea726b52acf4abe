-- Count something odd that was met; the newest detail is kept.
-- clock_timestamp(), for now() is one instant for a whole transaction.
-- params: kind, key, detail, times
-- returns: count
INSERT INTO ops_anomaly AS a (kind, key, detail, count, first_at, last_at)
VALUES (
    %(kind)s::text, %(key)s::text, %(detail)s::text, %(times)s::bigint, clock_timestamp(), clock_timestamp()
)
ON CONFLICT (kind, key) DO UPDATE
    SET
        count = a.count + excluded.count,
        detail = excluded.detail,
        last_at = clock_timestamp()
RETURNING a.count
