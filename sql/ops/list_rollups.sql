-- Every rollup that there is: how it is kept, how much of it, what waits, and whether its triggers do their work.
-- Of triggers there are four to a table. One that was disabled, and maybe enabled again, is not in the state A.
-- returns: report, grain, zone, built_at, refreshed_at, buckets, rows, touched, whole, relations, triggers, disabled
SELECT
    r.report,
    r.grain,
    r.zone,
    r.built_at,
    r.refreshed_at,
    k.buckets,
    k.rows,
    m.touched,
    m.whole,
    coalesce(t.relations, 0) AS relations,
    coalesce(t.triggers, 0) AS triggers,
    coalesce(t.disabled, 0) AS disabled
FROM ops_rollup AS r
LEFT JOIN LATERAL (
    SELECT
        count(DISTINCT w.bucket) AS buckets,
        count(*) AS rows
    FROM ops_rolluprow AS w
    WHERE w.report = r.report
) AS k ON TRUE
LEFT JOIN LATERAL (
    SELECT
        count(DISTINCT m.bucket) AS touched,
        coalesce(bool_or(m.bucket IS NULL), FALSE) AS whole
    FROM ops_rolluptouched AS m
    WHERE m.report = r.report
) AS m ON TRUE
LEFT JOIN LATERAL (
    SELECT
        count(DISTINCT s.id) AS relations,
        count(g.oid) AS triggers,
        count(g.oid) FILTER (WHERE g.tgenabled <> 'A') AS disabled
    FROM ops_rollup_tables(to_regclass(r.source)) AS s
    LEFT JOIN (
        SELECT
            i.oid,
            i.tgrelid,
            i.tgenabled,
            p.proname
        FROM pg_trigger AS i
        INNER JOIN pg_proc AS p ON p.oid = i.tgfoid
    ) AS g ON g.tgrelid = s.id AND g.proname = r.touch
) AS t ON to_regclass(r.source) IS NOT NULL
ORDER BY r.report ASC
