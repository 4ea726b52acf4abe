-- Make the function that parses a statement without executing it: a cursor takes one SELECT and nothing else.
CREATE OR REPLACE FUNCTION pg_temp.ops_check_expression(statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parsed refcursor;
BEGIN
    OPEN parsed FOR EXECUTE statement;
    CLOSE parsed;
END
$$
