-- Each job's last run that ended, plans excepted, and when one was last done: of the job's newest hundred runs.
-- returns: job, run, state, ended_at, done_at
WITH RECURSIVE job AS (
    -- One step of the index on (job, id) for each job, not one for each run.
    SELECT min(r.job) AS name
    FROM ops_run AS r
    UNION ALL
    SELECT (SELECT min(r.job) FROM ops_run AS r WHERE r.job > j.name) AS name
    FROM job AS j
    WHERE j.name IS NOT NULL
),

newest AS (
    SELECT n.id, n.job, n.state, n.finished_at
    FROM job AS j
    CROSS JOIN
        LATERAL (
            SELECT r.id, r.job, r.verb, r.state, r.finished_at
            FROM ops_run AS r
            WHERE r.job = j.name
            ORDER BY r.id DESC
            LIMIT 100
        ) AS n
    WHERE n.verb <> 'plan' AND n.finished_at IS NOT NULL
)

SELECT DISTINCT ON (n.job)
    n.job,
    n.id AS run,
    n.state,
    n.finished_at AS ended_at,
    max(n.finished_at) FILTER (WHERE n.state = 'done') OVER (PARTITION BY n.job) AS done_at
FROM newest AS n
ORDER BY n.job ASC, n.finished_at DESC, n.id DESC
