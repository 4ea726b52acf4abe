-- Make the function that makes the partition of changesets of a month where it is missing.
-- It runs as its owner, so that the role that runs jobs need not own tables; it can do nothing else.
CREATE FUNCTION ops_open_month(wanted date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    home text;
    part text := 'ops_changeset_' || to_char(wanted, 'YYYY_MM');
BEGIN
    IF wanted <> date_trunc('month', wanted)::date THEN
        RAISE EXCEPTION 'ops_open_month: %% is no first day of a month', wanted;
    END IF;
    SELECT n.nspname INTO home
    FROM pg_proc AS p
    INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = 'ops_open_month(date)'::regprocedure;
    IF to_regclass(format('%%I.%%I', home, part)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Two runs that open in the same moment make one partition.
    PERFORM pg_advisory_xact_lock(hashtextextended('ops_open_month', 0));
    -- Asked of the table, for to_regclass may still remember that there was none before this waited.
    IF EXISTS (SELECT 1 FROM pg_class AS c WHERE c.relname = part AND c.relnamespace = quote_ident(home)::regnamespace) THEN
        RETURN;
    END IF;
    -- Attached, because CREATE TABLE .. PARTITION OF would lock out the batches of running jobs.
    EXECUTE format(
        'CREATE TABLE %%1$I.%%2$I (LIKE %%1$I.ops_changeset INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', home, part
    );
    EXECUTE format(
        'ALTER TABLE %%1$I.ops_changeset ATTACH PARTITION %%1$I.%%2$I FOR VALUES IN (%%3$L)', home, part, wanted
    );
END
$$
