-- Forget the functions that move versions, and with them their triggers, where their migration is taken back.
DROP FUNCTION
ops_move_version(), ops_move_tags(), ops_begin_versions_anew(), ops_bump_version(text, text), ops_bump(text),
ops_bump_tags(text, text[]), ops_merge_stripes(text), ops_merge_tags(text, text[]),
ops_merge_versions(), ops_versions(text[], text[], text[]), ops_versioned_name(oid)
CASCADE
