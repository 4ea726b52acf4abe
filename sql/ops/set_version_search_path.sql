-- Let the functions that run as their owner find their tables in their own schema, whatever a session puts in the way.
DO $body$
DECLARE
    callee regprocedure;
BEGIN
    FOREACH callee IN ARRAY ARRAY[
        'ops_move_version()', 'ops_move_tags()', 'ops_begin_versions_anew()', 'ops_bump_version(text, text)',
        'ops_merge_versions()',         'ops_versions(text[], text[], text[])'
    ]::regprocedure[]
    LOOP
        EXECUTE format(
            'ALTER FUNCTION %%s SET search_path = pg_catalog, %%s, pg_temp', callee,
            (SELECT p.pronamespace::regnamespace::text FROM pg_proc AS p WHERE p.oid = callee)
        );
    END LOOP;
END
$body$
