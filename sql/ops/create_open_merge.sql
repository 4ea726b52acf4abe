-- Make the function that makes, anew, the unlogged table of a load's rows as they are to be: typed as the target's own
-- columns are, numbered in the order of the key.
-- It runs as its owner, as ops_open_staging does.
CREATE FUNCTION ops_open_merge(load bigint, target regclass, taken text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    home text;
    columns text;
BEGIN
    SELECT n.nspname INTO home
    FROM pg_proc AS p
    INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = 'ops_open_merge(bigint,regclass,text[])'::regprocedure;
    SELECT string_agg(format(', t.%%I', w.name), '' ORDER BY w.place) INTO columns
    FROM unnest(taken) WITH ORDINALITY AS w (name, place);
    EXECUTE format('DROP TABLE IF EXISTS %%I.%%I', home, 'ops_merge_' || load);
    EXECUTE format(
        'CREATE UNLOGGED TABLE %%I.%%I AS SELECT NULL::bigint AS ops_n, NULL::bigint AS ops_line%%s FROM %%s AS t '
        'WITH NO DATA', home, 'ops_merge_' || load, columns, target
    );
    EXECUTE format(
        'GRANT SELECT, INSERT ON %%I.%%I TO %%I', home, 'ops_merge_' || load,
        CASE current_setting('role') WHEN 'none' THEN session_user::text ELSE current_setting('role') END
    );
END
$$
