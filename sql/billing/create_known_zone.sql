-- Define billing_known_zone: whether a text is, letter for letter, the name of a zone that everybody reads alike.
-- As pg_timezone_names has it, which takes 10 ms to read and this 2 us: the server calls a zone by its file's name, and
-- in capitals one that it made up of a description ('FOO+3'). Raises an error for what is no zone to it at all.
CREATE OR REPLACE FUNCTION billing_known_zone(zone text) RETURNS boolean
LANGUAGE plpgsql STRICT SET timezone = 'UTC'
AS $body$
DECLARE
    winter CONSTANT timestamptz := '2000-01-01 00:00:00+00';
    summer CONSTANT timestamptz := '2000-07-01 00:00:00+00';
BEGIN
    IF
        set_config('TimeZone', zone, true) <> zone
        OR zone = upper(zone) AND zone ~ '[0-9]'
        AND zone NOT IN ('CST6CDT', 'EST5EDT', 'MST7MDT', 'PST8PDT', 'GMT0', 'GMT+0', 'GMT-0')
    THEN
        RETURN false;
    END IF;
    -- AT TIME ZONE takes some names (CET, EET, MET, WET) for abbreviations: an offset without summer time.
    RETURN winter AT TIME ZONE zone = winter::timestamp AND summer AT TIME ZONE zone = summer::timestamp;
END
$body$
