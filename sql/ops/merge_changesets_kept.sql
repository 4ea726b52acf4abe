-- Move the changesets of Setwise 0.1 into their months.
-- A slot had 10 bits and lay in the low ones of the hash that has 30 now, so no range of slots narrows them down.
INSERT INTO ops_changeset (
    id, month, run_id, "window", batch, rows, slot_from, slot_upto, low, high, keys, before, after, committed_at
)
SELECT
    nextval('ops_changeset_id') AS id, date_trunc('month', r.created_at AT TIME ZONE 'UTC')::date AS month,
    c.run_id, 0 AS "window", c.batch, c.rows, 0 AS slot_from, 1073741824 AS slot_upto,
    c.low, c.high, c.keys, c.before, c.after, c.committed_at
FROM ops_changeset_before AS c
INNER JOIN ops_run AS r ON r.id = c.run_id
ORDER BY c.run_id ASC, c.batch ASC
