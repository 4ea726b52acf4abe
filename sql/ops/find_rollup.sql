-- Whether a report's rollup is of use: its types, a word for what is wrong with it, and the first end of a window that
-- lies within a bucket.
-- params: report, digest, grain, zone, edges
-- returns: trouble, kinds, inside
SELECT
    ops_rollup_trouble(%(report)s::text, %(digest)s::text) AS trouble,
    (SELECT r.types FROM ops_rollup AS r WHERE r.report = %(report)s::text) AS kinds,
    (
        SELECT min(e.instant)
        FROM unnest(%(edges)s::timestamptz[]) AS e (instant)
        WHERE ops_rollup_bucket(e.instant, %(grain)s::text, %(zone)s::text) <> e.instant
    ) AS inside
