-- Make the function that merges the stripes that were added to those that are rewritten: their sum stays the same.
-- One statement deletes and adds, so no snapshot sees less or more; what another transaction holds is left to later.
CREATE OR REPLACE FUNCTION ops_merge_stripes(wanted text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    merged bigint;
BEGIN
    -- Under an older snapshot a row that somebody else has merged would make this fail.
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RETURN 0;
    END IF;
    WITH added AS MATERIALIZED (
        SELECT v.name, v.slot
        FROM ops_tableversion AS v
        WHERE
            v.slot >= 1000
            AND (v.name = wanted OR (wanted IS NULL AND v.name IN (
                SELECT m.name FROM ops_tableversion AS m WHERE m.slot >= 1000 GROUP BY m.name HAVING count(*) > 1
            )))
        ORDER BY v.name ASC, v.slot ASC
        LIMIT 10000
        FOR UPDATE SKIP LOCKED
    ),

    gone AS (
        DELETE FROM ops_tableversion AS v
        USING added AS a
        WHERE v.name = a.name AND v.slot = a.slot
        RETURNING v.name, v.version
    ),

    kept AS (
        INSERT INTO ops_tableversion (name, slot, version)
        SELECT g.name, nextval('ops_version'), sum(g.version) FROM gone AS g GROUP BY g.name
    )

    SELECT count(*) INTO merged FROM gone;
    RETURN merged;
END
$$
