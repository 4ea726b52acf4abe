-- Make the function that reads versions, and in the same moment whether triggers still move them.
-- Its first row says where they are from: server, timeline, database and table; then one row for each table, and one
-- for each tag, with its place in the array; of partitions it says in a digest which there are. A relation of null: no
-- trigger moves it, or not each of its partitions, or a subscription writes to it, which fires none. They are given by
-- their oids; what begins with cache: is no table.
-- Nothing is read in a SERIALIZABLE transaction: its reads would conflict with all writers.
CREATE OR REPLACE FUNCTION ops_versions(tables text[], tagged text[], tags text[])
RETURNS TABLE (kind text, place integer, relation oid, stored oid, version numeric, identity text, dirty boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    reads boolean := current_setting('transaction_isolation') <> 'serializable';
    timeline text;
    name_ text;
    part boolean;
    sort "char";
    column_ bytea;
    moved boolean;
BEGIN
    kind := 'server';
    dirty := pg_current_xact_id_if_assigned() IS NOT NULL OR NOT reads;
    IF pg_is_in_recovery() THEN
        timeline := (SELECT c.timeline_id FROM pg_control_checkpoint() AS c);
    ELSE
        timeline := ltrim(substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8), '0');
    END IF;
    identity := concat_ws(
        '.', (SELECT c.system_identifier FROM pg_control_system() AS c), timeline,
        (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()), 'ops_tableversion'::regclass::oid
    );
    version := CASE WHEN reads THEN (
        SELECT v.version FROM ops_tableversion AS v WHERE v.name = '*' AND v.slot = 0
    ) END;
    RETURN NEXT;

    FOR at IN 1..cardinality(tables) + cardinality(tagged) LOOP
        kind := CASE WHEN at <= cardinality(tables) THEN 'table' ELSE 'tag' END;
        place := CASE WHEN kind = 'table' THEN at ELSE at - cardinality(tables) END;
        name_ := CASE WHEN kind = 'table' THEN tables[place] ELSE tagged[place] END;
        relation := 0;
        stored := 0;
        version := 0;
        part := false;
        sort := 'r';
        identity := NULL;
        IF name_ IS NULL THEN
            relation := NULL;
        ELSIF name_ NOT LIKE 'cache:%%' THEN
            SELECT c.oid, c.relfilenode, n.nspname || '.' || c.relname, c.relispartition, c.relkind
            INTO relation, stored, name_, part, sort
            FROM pg_class AS c
            INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.oid = name_::oid;
            moved := EXISTS (
                SELECT 1
                FROM pg_trigger AS t
                WHERE
                    t.tgrelid = relation AND t.tgname = 'ops_version' AND t.tgenabled = 'A'
                    AND t.tgfoid = 'ops_move_version()'::regprocedure AND t.tgtype = 60
            ) AND NOT EXISTS (SELECT 1 FROM pg_subscription_rel AS s WHERE s.srrelid = relation);
            IF kind = 'tag' THEN
                column_ := convert_to(split_part(tags[place], '=', 1), getdatabaseencoding()) || '\x00'::bytea;
            END IF;
            IF sort = 'p' OR part THEN
                -- Not by pg_partition_tree, which would wait for who attaches one.
                WITH RECURSIVE tree AS (
                    SELECT coalesce(pg_partition_root(relation), relation)::oid AS id
                    UNION
                    SELECT i.inhrelid AS id
                    FROM tree
                    INNER JOIN pg_inherits AS i ON i.inhparent = tree.id
                    WHERE NOT i.inhdetachpending
                )

                -- The trigger of a partition has an argument more: that of what was no table's once moves its own version.
                SELECT
                    moved AND bool_and(EXISTS (
                        SELECT 1
                        FROM pg_trigger AS t
                        WHERE
                            t.tgrelid = c.oid AND t.tgname = 'ops_version' AND t.tgenabled = 'A'
                            AND t.tgfoid = 'ops_move_version()'::regprocedure AND t.tgtype = 60
                            AND t.tgnargs = c.relispartition::integer
                    ) AND (kind = 'table' OR 60 = (
                        SELECT bit_or(t.tgtype)
                        FROM pg_trigger AS t
                        WHERE
                            t.tgrelid = c.oid AND t.tgenabled = 'A' AND t.tgnargs = 1 + c.relispartition::integer
                            AND t.tgfoid = 'ops_move_tags()'::regprocedure
                            AND substring(t.tgargs FOR octet_length(column_)) = column_
                    )) AND NOT EXISTS (SELECT 1 FROM pg_subscription_rel AS s WHERE s.srrelid = c.oid)),
                    md5(string_agg(c.oid || '.' || c.relfilenode, ',' ORDER BY c.oid))
                INTO moved, identity
                FROM tree
                INNER JOIN pg_class AS c ON c.oid = tree.id;
            END IF;
            IF kind = 'tag' THEN
                moved := moved AND 60 = (
                    SELECT bit_or(t.tgtype)
                    FROM pg_trigger AS t
                    WHERE
                        t.tgrelid = relation AND t.tgenabled = 'A'
                        AND t.tgfoid = 'ops_move_tags()'::regprocedure
                        AND substring(t.tgargs FOR octet_length(column_)) = column_
                );
            END IF;
            IF moved IS NOT TRUE THEN
                relation := NULL;
            ELSIF part THEN
                name_ := ops_versioned_name(relation);
            END IF;
        END IF;
        IF NOT reads THEN
            NULL;
        ELSIF kind = 'table' THEN
            version := coalesce((SELECT sum(v.version) FROM ops_tableversion AS v WHERE v.name = name_), 0);
        ELSE
            version := coalesce((
                SELECT sum(v.version) FROM ops_tagversion AS v WHERE v.name = name_ AND v.tag IN (tags[place], '*')
            ), 0);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$
