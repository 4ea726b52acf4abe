-- Set what one transaction of the engine may take: how long it waits, how long it runs, how it joins.
-- Rows are looked up one by one in the order they come where ordered is on, so that locks are taken in that order.
-- params: lock_timeout, statement_timeout, ordered
-- returns: lock_timeout, statement_timeout, idle_timeout, connection_check, hash_join, merge_join, work_mem, jit
SELECT
    set_config('lock_timeout', %(lock_timeout)s::text, TRUE) AS lock_timeout,
    set_config('statement_timeout', %(statement_timeout)s::text, TRUE) AS statement_timeout,
    -- A process that was suspended, or whose host was lost, holds its rows no longer than its lease.
    set_config(
        'idle_in_transaction_session_timeout',
        coalesce(nullif(current_setting('idle_in_transaction_session_timeout'), '0'), '60s'),
        TRUE
    ) AS idle_timeout,
    -- The server notices within a second that a client was killed, even while it works for it; only on Linux it can.
    set_config(
        'client_connection_check_interval',
        CASE WHEN version() LIKE '%%linux%%' THEN '1s' ELSE current_setting('client_connection_check_interval') END,
        TRUE
    ) AS connection_check,
    set_config('enable_hashjoin', CASE WHEN %(ordered)s::boolean THEN 'off' ELSE 'on' END, TRUE) AS hash_join,
    -- A merge join sorts all rows of the target, and is chosen where a hash table of the staged rows is estimated
    -- a little too large: 4.0 s instead of 0.9 s for a million rows.
    set_config('enable_mergejoin', 'off', TRUE) AS merge_join,
    set_config('work_mem', '64MB', TRUE) AS work_mem,
    -- Compiling costs more than it saves in statements of well under a second.
    set_config('jit', 'off', TRUE) AS jit
