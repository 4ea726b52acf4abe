-- The unfinished runs by job, verb, state and queue: how many, since when the oldest is, what they wrote so far, and
-- how many of those that run have lost their owner: no connection, or silent for longer than its lease (in seconds).
-- params: lease, prompt_lease
-- returns: job, verb, state, queue, runs, oldest, changed, stale
SELECT
    r.job, r.verb, r.state, r.queue,
    count(*) AS runs,
    min(r.created_at) AS oldest,
    sum(r.changed)::bigint AS changed,
    count(*) FILTER (
        WHERE
        r.state = 'running'
        AND (
            a.pid IS NULL
            OR r.heartbeat_at IS NULL
            OR (
                extract(EPOCH FROM clock_timestamp() - r.heartbeat_at)
                > CASE WHEN r.consent THEN %(lease)s::float ELSE %(prompt_lease)s::float END
                AND coalesce(a.state, '') <> 'active'
            )
        )
    ) AS stale
FROM ops_run AS r
LEFT JOIN pg_stat_activity AS a
    ON r.backend_pid = a.pid AND r.backend_start = coalesce(a.backend_start, r.backend_start)
WHERE r.state IN ('queued', 'running', 'stopped', 'paused')
GROUP BY r.job, r.verb, r.state, r.queue
