-- Begin to build a report's rollup by its present declaration: nothing is kept, and all is touched.
-- words are those of its expressions, of which some are columns of its source.
-- params: report, digest, types, words
-- returns: report
WITH opened AS (
    UPDATE ops_rollup AS r
    SET
        digest = %(digest)s::text,
        types = %(types)s::text[],
        columns = coalesce(
            (
                SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod))
                FROM pg_attribute AS a
                WHERE
                    a.attrelid = to_regclass(r.source) AND a.attnum > 0 AND NOT a.attisdropped
                    AND a.attname = ANY(%(words)s::text[])
            ),
            '{{}}'
        ),
        built_at = NULL,
        refreshed_at = NULL
    WHERE r.report = %(report)s::text
    RETURNING r.report
),

cleared AS (
    DELETE FROM ops_rolluprow AS r
    USING opened AS o
    WHERE r.report = o.report
)

INSERT INTO ops_rolluptouched (report)
SELECT o.report
FROM opened AS o
RETURNING ops_rolluptouched.report
