-- Let what the unfinished runs of Setwise 0.1 had written count as one window that is done: a run's counters are the
-- sums of those of its windows.
INSERT INTO ops_window (
    run_id, number, after, upto, slot, batches, changed, done, run_fence, fence, host, pid
)
SELECT
    r.id AS run_id, 0 AS number, NULL AS after, coalesce(r.cursor -> 'after', 'null') AS upto, 0 AS slot,
    r.batches, r.changed, TRUE AS done, r.fence AS run_fence, 1 AS fence, r.owner_host AS host,
    coalesce(r.owner_pid, 0) AS pid
FROM ops_run AS r
WHERE r.verb = 'apply' AND r.state IN ('running', 'stopped') AND r.cursor IS NOT NULL
