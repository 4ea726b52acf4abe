-- Set how long the statements of one step wait for a lock; they may take as long as they need.
-- params: lock_timeout
-- returns: lock_timeout, statement_timeout
SELECT
    set_config('lock_timeout', %(lock_timeout)s::text, TRUE) AS lock_timeout,
    set_config('statement_timeout', '0', TRUE) AS statement_timeout
