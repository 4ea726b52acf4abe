-- Let the rest of this transaction only read, and wait for no lock for long; the search_path stays what it is, for it
-- tells which history Django reads.
-- params: lock_timeout, statement_timeout
-- returns: read_only, lock_timeout, statement_timeout, jit
SELECT
    set_config('transaction_read_only', 'on', TRUE) AS read_only,
    set_config('lock_timeout', %(lock_timeout)s::text, TRUE) AS lock_timeout,
    set_config('statement_timeout', %(statement_timeout)s::text, TRUE) AS statement_timeout,
    set_config('jit', 'off', TRUE) AS jit
