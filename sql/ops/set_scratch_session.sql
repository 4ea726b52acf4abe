-- Let a session of the replay look for names where the real one does, and wait for no disk.
-- params: search_path
-- returns: path_set, commit_set
SELECT
    set_config('search_path', %(search_path)s::text, FALSE) AS path_set,
    set_config('synchronous_commit', 'off', FALSE) AS commit_set
