-- Let nothing that is set for the role, the database or the server end what this session does or how long it rests,
-- keep it from writing, or say where its tables lie: a partitioned one can't be put into a tablespace by name.
-- returns: statement_timeout, lock_timeout, idle_in_transaction, idle, whole, read_only, place
SELECT
    set_config('statement_timeout', '0', FALSE) AS statement_timeout,
    set_config('lock_timeout', '0', FALSE) AS lock_timeout,
    set_config('idle_in_transaction_session_timeout', '0', FALSE) AS idle_in_transaction,
    set_config('idle_session_timeout', '0', FALSE) AS idle,
    -- PostgreSQL 17 has it first.
    CASE
        WHEN current_setting('transaction_timeout', TRUE) IS NOT NULL
            THEN set_config('transaction_timeout', '0', FALSE)
    END AS whole,
    set_config('default_transaction_read_only', 'off', FALSE) AS read_only,
    set_config('default_tablespace', '', FALSE) AS place
