-- The runs that ended since an instant, by job, verb, state and how long they took: how many, and what they wrote.
-- params: since, bounds
-- returns: job, verb, state, bound, runs, changed, seconds
SELECT
    r.job, r.verb, r.state,
    -- 0 for less than the first bound, 1 for less than the second, and so on.
    width_bucket(extract(EPOCH FROM r.finished_at - r.created_at)::float, %(bounds)s::float[]) AS bound,
    count(*) AS runs,
    sum(r.changed)::bigint AS changed,
    sum(extract(EPOCH FROM r.finished_at - r.created_at))::float AS seconds
FROM ops_run AS r
WHERE r.finished_at >= %(since)s::timestamptz
GROUP BY r.job, r.verb, r.state, bound
