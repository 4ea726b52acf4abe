-- Make the function of the trigger that gives all versions a new beginning where their rows are truncated.
CREATE OR REPLACE FUNCTION ops_begin_versions_anew() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO ops_tableversion (name, slot, version) VALUES ('*', 0, nextval('ops_version'))
    ON CONFLICT (name, slot) DO UPDATE SET version = excluded.version;
    RETURN NULL;
END
$$
