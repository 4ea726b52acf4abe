-- Make the function of the trigger that keeps what happened from being rewritten.
CREATE FUNCTION ops_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Events of runs are append-only: they can be pruned with their run, but not rewritten.';
END
$$
