-- Let the rest of this transaction only read, and each of its statements take no longer than this.
-- params: timeout
-- returns: read_only, statement_timeout
SELECT
    set_config('transaction_read_only', 'on', TRUE) AS read_only,
    set_config('statement_timeout', %(timeout)s::text, TRUE) AS statement_timeout
