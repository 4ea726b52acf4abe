-- Make the function that returns the beginning of the bucket that an instant falls into.
CREATE OR REPLACE FUNCTION ops_rollup_bucket(instant timestamptz, grain text, zone text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    day date;
    next_day timestamptz;
BEGIN
    IF grain = 'hour' THEN
        RETURN date_bin('1 hour', instant, timestamptz '2000-01-01 00:00:00+00');
    ELSIF grain = 'date' THEN
        RETURN date_bin('24 hours', instant, timestamptz '2000-01-01 00:00:00+00');
    END IF;
    day := (instant AT TIME ZONE zone)::date;
    -- Where clocks went back over midnight, it is the evening before once more, but a new day has begun.
    next_day := ops_rollup_day(day + 1, zone);
    RETURN CASE WHEN next_day <= instant THEN next_day ELSE ops_rollup_day(day, zone) END;
END
$$
