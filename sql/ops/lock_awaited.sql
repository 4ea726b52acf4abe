-- Wait for the lock on one computation, so long and no longer (SQLSTATE 55P03).
-- The limit is set first: a target list is computed from left to right.
-- params: lock, lock_timeout
-- returns: limited, waited
SELECT
    set_config('lock_timeout', %(lock_timeout)s::text, TRUE) AS limited,
    pg_advisory_xact_lock(%(lock)s::bigint) AS waited
