-- Let nobody move versions but through a trigger, or the function that asks who does; nor make triggers of functions
-- that run as their owner, which would be handed rows of types and casts of somebody else's. A trigger that is there
-- fires whoever writes.
REVOKE EXECUTE ON FUNCTION
ops_bump(text), ops_bump_tags(text, text[]), ops_merge_stripes(text), ops_merge_tags(text, text[]),
ops_move_version(), ops_move_tags(), ops_begin_versions_anew()
FROM public
