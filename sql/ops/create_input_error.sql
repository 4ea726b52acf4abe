-- Make the function that tells what is wrong with a text as a value of a type; null where nothing is.
-- It is what PostgreSQL 15 has instead of pg_input_is_valid, which came with 16.
CREATE FUNCTION ops_input_error(value text, type text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
BEGIN
    EXECUTE format('SELECT %%L::%%s', value, type);
    RETURN NULL;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    RETURN SQLERRM;
END
$$
