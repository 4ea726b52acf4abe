-- Make the function that makes, anew, the unlogged table of a load's records as they were received: text, and the line.
-- It runs as its owner, so that the role that loads need not own tables; that role alone may use what it has opened.
CREATE FUNCTION ops_open_staging(load bigint, width integer) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    home text;
    columns text;
BEGIN
    SELECT n.nspname INTO home
    FROM pg_proc AS p
    INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = 'ops_open_staging(bigint,integer)'::regprocedure;
    SELECT string_agg(format(', c%%s text', i), '' ORDER BY i) INTO columns FROM generate_series(0, width - 1) AS i;
    EXECUTE format('DROP TABLE IF EXISTS %%I.%%I', home, 'ops_stage_' || load);
    EXECUTE format('CREATE UNLOGGED TABLE %%I.%%I (ops_line bigint NOT NULL%%s)', home, 'ops_stage_' || load, columns);
    EXECUTE format(
        'GRANT SELECT, INSERT ON %%I.%%I TO %%I', home, 'ops_stage_' || load,
        CASE current_setting('role') WHEN 'none' THEN session_user::text ELSE current_setting('role') END
    );
END
$$
