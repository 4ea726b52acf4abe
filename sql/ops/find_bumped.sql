-- Move the version of a table, or of what is cached, and of all its tags; or that of one tag.
-- params: name, tag
-- returns: moved
SELECT ops_bump_version(
    CASE WHEN %(name)s::text LIKE 'cache:%%' THEN %(name)s::text ELSE to_regclass(%(name)s::text)::oid::text END,
    %(tag)s::text
) IS NULL AS moved
