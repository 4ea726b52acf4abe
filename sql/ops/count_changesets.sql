-- How many changesets runs have.
-- params: runs
-- returns: changesets
SELECT count(*) AS changesets
FROM ops_changeset AS c
WHERE c.run_id = any(%(runs)s::bigint[])
