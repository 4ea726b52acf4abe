-- Make the function that says, in a word, why a report's rollup can't be used, or ''.
-- The digest is that of the declaration in the code. It sees what the statement sees that calls it, for it is stable: a
-- statement that reads a rollup asks it, so that no answer comes of a rollup that somebody drops in the same moment.
CREATE OR REPLACE FUNCTION ops_rollup_trouble(asked text, declared text) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    kept record;
    relation regclass;
    ids oid[];
    names text[];
    files bigint[];
BEGIN
    SELECT r.digest, r.source, r.time_column, r.touch, r.tables, r.files, r.columns, r.built_at INTO kept
    FROM ops_rollup AS r
    WHERE r.report = asked;
    IF NOT FOUND THEN
        RETURN 'missing';
    ELSIF kept.digest <> declared THEN
        RETURN 'changed';
    END IF;
    relation := to_regclass(kept.source);
    IF relation IS NULL THEN
        RETURN 'gone';
    END IF;
    SELECT
        array_agg(t.id),
        array_agg(t.name ORDER BY t.name COLLATE "C"),
        array_agg(t.file ORDER BY t.name COLLATE "C")
    INTO ids, names, files
    FROM ops_rollup_tables(relation) AS t;
    RETURN (
        SELECT CASE
            -- Each role would see rows of its own; the sums are of all.
            WHEN (SELECT c.relrowsecurity FROM pg_class AS c WHERE c.oid = relation) THEN 'policies'
            -- What a subscription applies fires no statement's triggers.
            WHEN EXISTS (SELECT FROM pg_subscription_rel AS s WHERE s.srrelid = ANY(ids)) THEN 'subscribed'
            WHEN names <> kept.tables THEN 'partitions'
            -- Whoever disables a trigger and enables it again leaves another state than A, by which that is seen.
            WHEN 4 * cardinality(ids) <> (
                SELECT count(*)
                FROM pg_trigger AS t
                INNER JOIN pg_proc AS p ON p.oid = t.tgfoid
                WHERE t.tgrelid = ANY(ids) AND p.proname = kept.touch AND t.tgenabled = 'A'
            ) THEN 'triggers'
            WHEN NOT EXISTS (
                SELECT
                FROM pg_index AS i
                INNER JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                INNER JOIN pg_class AS c ON c.oid = i.indexrelid
                INNER JOIN pg_am AS m ON m.oid = c.relam
                WHERE
                    i.indrelid = relation AND i.indisvalid AND i.indpred IS NULL AND m.amname IN ('btree', 'brin')
                    AND a.attname = kept.time_column
            ) THEN 'index'
            WHEN kept.built_at IS NULL THEN 'unbuilt'
            WHEN kept.columns IS DISTINCT FROM (
                SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod))
                FROM pg_attribute AS a
                WHERE a.attrelid = relation AND NOT a.attisdropped AND kept.columns ? a.attname::text
            ) THEN 'columns'
            WHEN EXISTS (
                SELECT FROM ops_rolluptouched AS m WHERE m.report = asked AND m.bucket IS NULL
            ) THEN 'all'
            WHEN files <> kept.files THEN 'rewritten'
            ELSE ''
        END
    );
END
$$
