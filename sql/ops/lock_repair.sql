-- Keep out other repairs, and safe_migrate, until this session ends. Waits as long as lock_timeout lets it.
-- params: key
-- returns: taken
SELECT pg_advisory_lock(%(key)s::bigint) AS taken
