-- Drop the functions of rollups, with the triggers that they are of; the rollups go with them.
DO $body$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT r.report FROM ops_rollup AS r LOOP
        PERFORM ops_rollup_remove(one.report);
    END LOOP;
    DROP FUNCTION
    ops_rollup_remove(text), ops_rollup_install(text, text, regclass, text, text, text, text),
    ops_rollup_trouble(text, text), ops_rollup_tables(regclass), ops_rollup_buckets(regclass, text, text, text),
    ops_rollup_bucket(timestamptz, text, text), ops_rollup_ends(timestamptz, text, text), ops_rollup_day(date, text);
END
$body$
