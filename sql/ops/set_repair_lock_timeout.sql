-- Set how long a connection of a repair waits for a lock, from now on.
-- params: lock_timeout
-- returns: lock_timeout
SELECT set_config('lock_timeout', %(lock_timeout)s::text, FALSE) AS lock_timeout
