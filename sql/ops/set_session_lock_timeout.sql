-- Set how long all statements of this session wait for a lock; tell how long it was before.
-- params: lock_timeout
-- returns: before, since
WITH old AS MATERIALIZED (
    SELECT current_setting('lock_timeout') AS before
)

SELECT
    old.before,
    set_config('lock_timeout', %(lock_timeout)s::text, FALSE) AS since
FROM old
