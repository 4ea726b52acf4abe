-- Make the function that returns the first instant of a local date; of one that a zone left out, that of the next one.
-- It is not always 00:00: clocks may skip midnight, or have it twice. Windows begin so, too (ops.reports.windows).
CREATE OR REPLACE FUNCTION ops_rollup_day(day date, zone text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    wall timestamp := day;
    -- Instants are times of UTC here: what is added to a timestamptz is added in the session's zone.
    late timestamp := wall AT TIME ZONE zone AT TIME ZONE 'UTC';
    shown timestamp := late AT TIME ZONE 'UTC' AT TIME ZONE zone;
    early timestamp;
    back interval;
    low integer := 0;
    high integer;
    middle integer;
BEGIN
    IF shown = wall THEN
        -- Of a time that comes twice, the server takes the second. By the offset before, it is the first: clocks went
        -- back by an hour or two, or, where a date line was moved, by a day.
        FOREACH back IN ARRAY ARRAY[interval '26 hours', interval '3 hours'] LOOP
            early := wall - ((late - back) AT TIME ZONE 'UTC' AT TIME ZONE zone - (late - back));
            IF early < late AND early AT TIME ZONE 'UTC' AT TIME ZONE zone = wall THEN
                RETURN early AT TIME ZONE 'UTC';
            END IF;
        END LOOP;
        RETURN late AT TIME ZONE 'UTC';
    END IF;
    -- Midnight was skipped: the server's instant lies after the gap, by the offset after it lies before the gap.
    early := wall - (shown - late);
    high := extract(EPOCH FROM late - early)::integer;
    WHILE high - low > 1 LOOP
        middle := (low + high) / 2;
        IF ((early + middle * interval '1 second') AT TIME ZONE 'UTC' AT TIME ZONE zone)::date < day THEN
            low := middle;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN (early + high * interval '1 second') AT TIME ZONE 'UTC';
END
$$
