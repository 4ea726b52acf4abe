-- The repairs that have not said how they ended, and whether their working session is still at it.
-- params: but
-- returns: repair, run, who, begun, worker, busy
SELECT
    r.repair, r.run, r.who, r.begun, r.worker_pid AS worker,
    EXISTS(
        SELECT 1 FROM pg_stat_activity AS a
        WHERE a.pid = r.worker_pid AND coalesce(a.backend_start, r.worker_start) = r.worker_start
    ) AS busy
FROM ops_repair AS r
WHERE r.state = 'running' AND r.repair <> %(but)s::uuid
ORDER BY r.begun ASC, r.repair ASC
