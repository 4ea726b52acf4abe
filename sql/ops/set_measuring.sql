-- Set how long each statement of this transaction may read. What a policy hides from the role is not left out: the
-- server refuses to read the table.
-- params: statement_timeout
-- returns: statement_timeout, hiding
SELECT
    set_config('statement_timeout', %(statement_timeout)s::text, TRUE) AS statement_timeout,
    set_config('row_security', 'off', TRUE) AS hiding
