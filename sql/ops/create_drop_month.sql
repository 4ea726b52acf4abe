-- Make the function that drops the partition of changesets of a month whose runs have all been pruned.
-- It runs as its owner; that no run needs the month is its own to see.
CREATE OR REPLACE FUNCTION ops_drop_month(old date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    home text;
    part text := 'ops_changeset_' || to_char(old, 'YYYY_MM');
    needed boolean;
BEGIN
    SELECT n.nspname INTO home
    FROM pg_proc AS p
    INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = 'ops_drop_month(date)'::regprocedure;
    IF to_regclass(format('%%I.%%I', home, part)) IS NULL THEN
        RETURN;
    END IF;
    IF old >= date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC')::date THEN
        RAISE EXCEPTION 'ops_drop_month: runs of the month of %% may still be opened', old;
    END IF;
    -- Qualified, or a temporary table of the caller's would be asked.
    EXECUTE format(
        'SELECT EXISTS (SELECT 1 FROM %%I.ops_run AS r WHERE r.created_at >= $1 AND r.created_at < $2 '
        'AND r.state IN (''queued'', ''running'', ''stopped'', ''paused''))', home
    ) INTO needed
    USING old::timestamp AT TIME ZONE 'UTC', (old + interval '1 month') AT TIME ZONE 'UTC';
    IF needed THEN
        RAISE EXCEPTION 'ops_drop_month: a run of the month of %% is unfinished', old;
    END IF;
    EXECUTE format('DROP TABLE %%I.%%I', home, part);
END
$$
