-- Make the function by which whoever may read versions moves one: of what is cached, by its name, or of a table, by its
-- oid; without a tag all its tags with it.
CREATE OR REPLACE FUNCTION ops_bump_version(wanted text, tag text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    whose text := CASE current_setting('role') WHEN 'none' THEN session_user::text ELSE current_setting('role') END;
    moved text := CASE WHEN wanted LIKE 'cache:%%' THEN wanted ELSE ops_versioned_name(wanted::oid) END;
BEGIN
    IF NOT has_table_privilege(whose, 'ops_tableversion', 'SELECT') THEN
        RAISE EXCEPTION 'ops_bump_version: %% may not read versions', whose USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF moved IS NULL THEN
        RAISE EXCEPTION 'there is no such table' USING ERRCODE = 'undefined_table';
    END IF;
    IF tag = '' THEN
        PERFORM ops_bump(moved);
        PERFORM ops_bump_tags(moved, ARRAY['*']);
    ELSE
        PERFORM ops_bump_tags(moved, ARRAY[tag]);
    END IF;
END
$$
