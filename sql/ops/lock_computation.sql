-- Try to take the lock on one computation, until this transaction or its savepoint ends.
-- A function may compute for longer than a transaction may be idle: what it does in Python is no statement.
-- params: lock
-- returns: held, lock_timeout, isolation_level, idle_timeout, seconds
SELECT
    pg_try_advisory_xact_lock(%(lock)s::bigint) AS held,
    current_setting('lock_timeout') AS lock_timeout,
    current_setting('transaction_isolation') AS isolation_level,
    set_config('idle_in_transaction_session_timeout', '0', TRUE) AS idle_timeout,
    extract(EPOCH FROM current_setting('statement_timeout')::interval)::double precision AS seconds
