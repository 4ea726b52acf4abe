-- Keep what a report came to as of an instant: a row for each group of each window, and for its total.
-- Rows that are kept already and do not differ stay as they are, and groups that are no longer there go.
-- Saved again from the same data, nothing changes.
-- params: report, as_of, filters, windows, rows, run
-- returns: inserted, updated, deleted
WITH given AS (
    SELECT
        g.name, g.starts_at, g.ends_at, g.told, g.came_to, g.kinds,
        encode(sha256(convert_to(concat(%(filters)s::jsonb::text, ' ', g.told::text), 'UTF8')), 'hex') AS digest
    FROM
        jsonb_to_recordset(%(rows)s::jsonb) AS g (
            name text, starts_at timestamptz, ends_at timestamptz, told jsonb, came_to jsonb, kinds jsonb
        )
),

gone AS (
    DELETE FROM ops_reportresult AS t
    WHERE
        t.report = %(report)s::text
        AND t.as_of = %(as_of)s::timestamptz
        AND t.filters = %(filters)s::jsonb
        AND t."window" = any(%(windows)s::text[])
        AND NOT EXISTS (SELECT 1 FROM given AS g WHERE g.name = t."window" AND g.digest = t.digest)
    RETURNING t.id
),

merged AS (
    INSERT INTO ops_reportresult AS t (
        report, "window", as_of, filters, "group", starts_at, ends_at, values, kinds, digest, run_id, saved_at
    )
    SELECT
        %(report)s::text AS report, g.name, %(as_of)s::timestamptz AS as_of, %(filters)s::jsonb AS filters, g.told,
        g.starts_at, g.ends_at, g.came_to, g.kinds, g.digest, %(run)s::bigint AS run, statement_timestamp() AS saved_at
    FROM given AS g
    ORDER BY g.name ASC, g.digest ASC
    ON CONFLICT (report, "window", as_of, digest) DO UPDATE
        SET
            starts_at = excluded.starts_at,
            ends_at = excluded.ends_at,
            values = excluded.values,
            kinds = excluded.kinds,
            run_id = excluded.run_id,
            saved_at = excluded.saved_at
        WHERE
        t.values IS DISTINCT FROM excluded.values
        OR t.kinds IS DISTINCT FROM excluded.kinds
        OR t.starts_at IS DISTINCT FROM excluded.starts_at
        OR t.ends_at IS DISTINCT FROM excluded.ends_at
    RETURNING (t.xmax = 0) AS is_new
)

SELECT
    count(*) FILTER (WHERE m.is_new) AS inserted,
    count(*) FILTER (WHERE NOT m.is_new) AS updated,
    (SELECT count(*) FROM gone) AS deleted
FROM merged AS m
