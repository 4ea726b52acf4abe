-- Make the function that merges the versions of tags, each tag's to one row: their sum stays the same.
-- One statement deletes and adds, so no snapshot sees less or more; what another transaction holds is left to later.
CREATE OR REPLACE FUNCTION ops_merge_tags(wanted text, tags text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    merged bigint;
BEGIN
    -- Under an older snapshot a row that somebody else has merged would make this fail.
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RETURN 0;
    END IF;
    WITH added AS MATERIALIZED (
        SELECT t.id
        FROM ops_tagversion AS t
        WHERE
            (t.name = wanted AND t.tag = ANY(tags))
            OR (wanted IS NULL AND (t.name, t.tag) IN (
                SELECT m.name, m.tag FROM ops_tagversion AS m GROUP BY m.name, m.tag HAVING count(*) > 1
            ))
        ORDER BY t.id ASC
        LIMIT 10000
        FOR UPDATE SKIP LOCKED
    ),

    gone AS (
        DELETE FROM ops_tagversion AS t
        USING added AS a
        WHERE t.id = a.id
        RETURNING t.name, t.tag, t.version
    ),

    kept AS (
        INSERT INTO ops_tagversion (name, tag, version)
        SELECT g.name, g.tag, sum(g.version) FROM gone AS g GROUP BY g.name, g.tag
    )

    SELECT count(*) INTO merged FROM gone;
    RETURN merged;
END
$$
