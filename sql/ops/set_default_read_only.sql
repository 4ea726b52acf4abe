-- Let the transactions of this session that begin from now on only read, or not; tell how it was before.
-- params: read_only
-- returns: before, since
WITH old AS MATERIALIZED (
    SELECT current_setting('default_transaction_read_only') AS before
)

SELECT
    old.before,
    set_config('default_transaction_read_only', %(read_only)s::text, FALSE) AS since
FROM old
