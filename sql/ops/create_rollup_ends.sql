-- Make the function that returns the end of a bucket: the beginning of the next one.
-- A grain is a local day, an hour of UTC, or the day of a column of dates, which is kept as its midnight in UTC.
CREATE OR REPLACE FUNCTION ops_rollup_ends(bucket timestamptz, grain text, zone text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    day date;
    found timestamptz;
BEGIN
    IF grain = 'hour' THEN
        RETURN bucket + interval '1 hour';
    ELSIF grain = 'date' THEN
        RETURN bucket + interval '24 hours';
    END IF;
    day := (bucket AT TIME ZONE zone)::date;
    LOOP
        day := day + 1;
        found := ops_rollup_day(day, zone);
        -- A date that the zone left out ends when it begins.
        IF found > bucket THEN
            RETURN found;
        END IF;
    END LOOP;
END
$$
