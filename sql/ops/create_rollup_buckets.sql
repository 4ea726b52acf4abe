-- Make the function that returns the buckets that a table has rows in, by one look into its index for each.
-- It sees what the statement sees that calls it, for it is stable.
CREATE OR REPLACE FUNCTION ops_rollup_buckets(relation regclass, time_column text, grain text, zone text)
RETURNS TABLE (bucket timestamptz, ends_at timestamptz)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    instant timestamptz;
    least text := format('min(s.%%I)', time_column);
    since text := '$1';
BEGIN
    IF grain = 'date' THEN
        least := least || '::timestamp AT TIME ZONE ''UTC''';
        since := '($1 AT TIME ZONE ''UTC'')::date';
    END IF;
    -- Beyond these years no window lies; the ends of time have no neighbours that could be named.
    ends_at := '0002-01-01 00:00:00+00';
    LOOP
        EXECUTE format(
            'SELECT %%1$s FROM %%2$s AS s WHERE s.%%3$I >= %%4$s AND s.%%3$I < ''9998-01-01 00:00:00+00''',
            least, relation, time_column, since
        ) INTO instant USING ends_at;
        EXIT WHEN instant IS NULL;
        bucket := ops_rollup_bucket(instant, grain, zone);
        ends_at := ops_rollup_ends(bucket, grain, zone);
        RETURN NEXT;
    END LOOP;
END
$$
