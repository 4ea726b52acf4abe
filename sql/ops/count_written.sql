-- How many rows a run has inserted, updated and deleted.
-- params: run, month
-- returns: inserted, updated, deleted
SELECT
    coalesce(sum(c.rows) FILTER (WHERE c.kind = 'insert'), 0)::bigint AS inserted,
    coalesce(sum(c.rows) FILTER (WHERE c.kind = 'update'), 0)::bigint AS updated,
    coalesce(sum(c.rows) FILTER (WHERE c.kind = 'delete'), 0)::bigint AS deleted
FROM ops_changeset AS c
WHERE c.run_id = %(run)s::bigint AND c.month = %(month)s::date
