-- Set how long each statement of this transaction may read.
-- params: statement_timeout
-- returns: statement_timeout
SELECT set_config('statement_timeout', %(statement_timeout)s::text, TRUE) AS statement_timeout
