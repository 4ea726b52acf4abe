-- Set how long the statements of this transaction wait for a lock.
-- params: lock_timeout
-- returns: lock_timeout
SELECT set_config('lock_timeout', %(lock_timeout)s::text, TRUE) AS lock_timeout
