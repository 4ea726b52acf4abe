-- Merge what writers have added to versions, up to ten thousand rows of each kind; return how many there were.
-- returns: merged
SELECT ops_merge_versions() AS merged
