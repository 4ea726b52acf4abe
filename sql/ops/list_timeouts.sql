-- The timeouts that this session has of its role, its database or the server, in milliseconds; those of 0 are off.
-- returns: name, milliseconds
SELECT s.name, s.setting::bigint AS milliseconds
FROM pg_settings AS s
WHERE
    s.name IN (
        'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
        'transaction_timeout'
    )
    AND s.reset_val <> '0'
    AND s.setting <> '0'
ORDER BY s.name ASC
