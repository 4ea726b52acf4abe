-- Make the function that makes a load's rows ready to be read in ranges of their numbers, which only their owner may.
CREATE FUNCTION ops_settle_merge(load bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    home text;
BEGIN
    SELECT n.nspname INTO home
    FROM pg_proc AS p
    INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = 'ops_settle_merge(bigint)'::regprocedure;
    -- The rows lie in the order of their numbers, so that the smallest index of all finds a range of them.
    EXECUTE format('CREATE INDEX ON %%I.%%I USING brin (ops_n) WITH (pages_per_range = 16)', home, 'ops_merge_' || load);
    EXECUTE format(
        'CREATE INDEX IF NOT EXISTS %%2$I ON %%1$I.%%3$I USING brin (ops_line) WITH (pages_per_range = 16)',
        home, 'ops_stage_' || load || '_line', 'ops_stage_' || load
    );
    EXECUTE format('ANALYZE %%I.%%I', home, 'ops_merge_' || load);
END
$$
