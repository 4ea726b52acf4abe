-- Make the function by which a sweep merges what writers have added; it changes no version, so anybody may call it.
CREATE OR REPLACE FUNCTION ops_merge_versions() RETURNS bigint LANGUAGE sql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
SELECT ops_merge_stripes(NULL) + ops_merge_tags(NULL, NULL)
$$
