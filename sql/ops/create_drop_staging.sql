-- Make the function that drops the staging tables of a load, for whoever may carry runs out.
CREATE FUNCTION ops_drop_staging(load bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    home text;
    whose text := CASE current_setting('role') WHEN 'none' THEN session_user::text ELSE current_setting('role') END;
BEGIN
    SELECT n.nspname INTO home
    FROM pg_proc AS p
    INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = 'ops_drop_staging(bigint)'::regprocedure;
    IF NOT has_table_privilege(whose, format('%%I.ops_run', home), 'UPDATE') THEN
        RAISE EXCEPTION 'ops_drop_staging: %% may not carry out runs', whose USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %%1$I.%%2$I, %%1$I.%%3$I', home, 'ops_stage_' || load, 'ops_merge_' || load);
END
$$
