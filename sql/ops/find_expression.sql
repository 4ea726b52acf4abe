-- Let the server parse a SELECT that was made of texts from a shell.
-- params: statement
-- returns: parsed
SELECT pg_temp.ops_check_expression(%(statement)s::text) AS parsed
