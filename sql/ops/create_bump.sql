-- Make the function that moves the version of a table by one stripe; the triggers' functions call it as their owner.
-- A stripe is taken by an advisory lock that is tried, never waited for, and kept until the transaction ends: so
-- writers neither queue nor deadlock, and each stripe only grows. Where all are taken, and where a snapshot that is
-- older than a stripe would make its update fail (REPEATABLE READ, SERIALIZABLE), a stripe of its own is added.
CREATE OR REPLACE FUNCTION ops_bump(moved text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    stripe bigint;
BEGIN
    IF current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN
        FOR step IN 0..15 LOOP
            stripe := (pg_backend_pid() + step) %% 16;
            CONTINUE WHEN NOT pg_try_advisory_xact_lock(hashtextextended(moved, stripe));
            UPDATE ops_tableversion AS v SET version = nextval('ops_version') WHERE v.name = moved AND v.slot = stripe;
            IF NOT found THEN
                INSERT INTO ops_tableversion (name, slot, version) VALUES (moved, stripe, nextval('ops_version'));
            END IF;
            RETURN;
        END LOOP;
    END IF;
    INSERT INTO ops_tableversion (name, slot, version) VALUES (moved, nextval('ops_version'), 1);
END
$$
