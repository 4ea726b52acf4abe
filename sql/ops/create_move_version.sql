-- Make the function of the trigger that moves the version of a table, once in each transaction that writes to it.
-- It runs as its owner, so that who writes to the table needs no privilege on versions. The mark that it was moved is a
-- setting of the transaction: where a savepoint is rolled back, and the move with it, the mark is forgotten, too.
CREATE OR REPLACE FUNCTION ops_move_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    mark text := 'ops.moved_' || tg_relid;
    writer text := pg_current_xact_id_if_assigned()::text;
    whole text;
    stripe bigint;
    done text;
BEGIN
    IF current_setting(mark, true) = writer THEN
        RETURN NULL;
    END IF;
    -- The server counts the rows that a transaction writes. Where it has counted none, a statement that found no row
    -- has fired this; but it counts the rows of partitions and of other kinds of tables elsewhere, or not at all.
    IF (
            CASE tg_op
                WHEN 'INSERT' THEN pg_stat_get_xact_tuples_inserted(tg_relid)
                WHEN 'UPDATE' THEN pg_stat_get_xact_tuples_updated(tg_relid)
                WHEN 'DELETE' THEN pg_stat_get_xact_tuples_deleted(tg_relid)
            END
        ) = 0
        AND current_setting('track_counts') = 'on'
        AND current_setting('server_version_num')::integer < 190000
    THEN
        -- By itself, since a subquery would make the whole condition a query.
        IF EXISTS (
            SELECT 1
            FROM pg_class AS c
            INNER JOIN pg_am AS a ON a.oid = c.relam
            WHERE c.oid = tg_relid AND c.relkind = 'r' AND NOT c.relhassubclass AND a.amname = 'heap'
        ) THEN
            RETURN NULL;
        END IF;
    END IF;
    -- Partitions share the version of their table, whichever of them a statement names.
    IF tg_nargs > 0 THEN
        whole := ops_versioned_name(tg_relid);
    ELSE
        whole := tg_table_schema || '.' || tg_table_name;
    END IF;
    -- What ops_bump does first, written here as well: a call costs as much as the move itself. (Likewise functions are
    -- called by assigning, since PERFORM would run a query for each.)
    stripe := pg_backend_pid() %% 16;
    IF current_setting('transaction_isolation') = 'read committed'
        AND pg_try_advisory_xact_lock(hashtextextended(whole, stripe))
    THEN
        UPDATE ops_tableversion AS v SET version = nextval('ops_version') WHERE v.name = whole AND v.slot = stripe;
        IF NOT found THEN
            INSERT INTO ops_tableversion (name, slot, version) VALUES (whole, stripe, nextval('ops_version'));
        ELSIF random() < 0.004 THEN
            done := ops_merge_stripes(whole);
        END IF;
    ELSE
        done := ops_bump(whole);
    END IF;
    done := set_config(mark, coalesce(writer, pg_current_xact_id()::text), true);
    RETURN NULL;
END
$$
