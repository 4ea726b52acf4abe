-- Set up a connection of a repair: nothing but a lock ends what it does or how long it rests, it reads what is
-- committed by each statement, has the path and role of Django's own, and the server hears of a lost client soon.
-- params: lock_timeout, search_path, role
-- returns: lock_timeout, statement_timeout, idle_in_transaction, idle, whole, default_isolation, read_only,
-- check_interval, keepalive, user_role, search_in, time_zone, hiding
SELECT
    set_config('lock_timeout', %(lock_timeout)s::text, FALSE) AS lock_timeout,
    set_config('statement_timeout', '0', FALSE) AS statement_timeout,
    set_config('idle_in_transaction_session_timeout', '0', FALSE) AS idle_in_transaction,
    set_config('idle_session_timeout', '0', FALSE) AS idle,
    -- PostgreSQL 17 has it first.
    CASE
        WHEN current_setting('transaction_timeout', TRUE) IS NOT NULL
            THEN set_config('transaction_timeout', '0', FALSE)
    END AS whole,
    set_config('default_transaction_isolation', 'read committed', FALSE) AS default_isolation,
    set_config('default_transaction_read_only', 'off', FALSE) AS read_only,
    set_config(
        'client_connection_check_interval',
        CASE WHEN version() LIKE '%%linux%%' THEN '1s' ELSE current_setting('client_connection_check_interval') END,
        FALSE
    ) AS check_interval,
    set_config('tcp_keepalives_idle', '30', FALSE) AS keepalive,
    CASE WHEN %(role)s::text <> '' THEN set_config('role', %(role)s::text, FALSE) END AS user_role,
    set_config('search_path', %(search_path)s::text, FALSE) AS search_in,
    set_config('TimeZone', 'UTC', FALSE) AS time_zone,
    -- A table whose rows a policy hides is not empty: the server refuses to read it instead.
    set_config('row_security', 'off', FALSE) AS hiding
