-- Make the function that removes a report's rollup: triggers, markers and sums.
-- Nobody writes to the source in the moment in which the triggers go; their tables are locked until the commit.
CREATE OR REPLACE FUNCTION ops_rollup_remove(report_name text) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    home text;
    touched_by text;
BEGIN
    SELECT n.nspname INTO home
    FROM pg_proc AS p
    INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = 'ops_rollup_tables(regclass)'::regprocedure;
    DELETE FROM ops_rollup AS r WHERE r.report = report_name RETURNING r.touch INTO touched_by;
    IF touched_by IS NOT NULL THEN
        EXECUTE format('DROP FUNCTION IF EXISTS %%I.%%I() CASCADE', home, touched_by);
    END IF;
    DELETE FROM ops_rolluptouched AS m WHERE m.report = report_name;
    DELETE FROM ops_rolluprow AS r WHERE r.report = report_name;
END
$$
