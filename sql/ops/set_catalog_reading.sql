-- Let the rest of this transaction only read the catalogue: names are written in full, nothing is waited for long.
-- params: lock_timeout, statement_timeout
-- returns: search_path, read_only, lock_timeout, statement_timeout, jit, quotes, join_limit, from_limit
SELECT
    -- What is on the path is written without its schema: only what the server itself brings may be.
    set_config('search_path', 'pg_catalog', TRUE) AS search_path,
    set_config('transaction_read_only', 'on', TRUE) AS read_only,
    set_config('lock_timeout', %(lock_timeout)s::text, TRUE) AS lock_timeout,
    set_config('statement_timeout', %(statement_timeout)s::text, TRUE) AS statement_timeout,
    set_config('jit', 'off', TRUE) AS jit,
    set_config('quote_all_identifiers', 'off', TRUE) AS quotes,
    -- The joins are written in the order in which they are best done: to find it anew takes half of the time.
    set_config('join_collapse_limit', '1', TRUE) AS join_limit,
    set_config('from_collapse_limit', '1', TRUE) AS from_limit
