-- Record that a repair begins.
-- params: repair, who, started_from, host, pid, guard_pid, guard_start, worker_pid, worker_start, plan_snapshot,
-- plan_mode, choices, code_version, reverts
-- returns: begun
INSERT INTO ops_repair (
    repair, who, started_from, host, pid, guard_pid, guard_start, worker_pid, worker_start, plan_snapshot,
    plan_mode, choices, code_version, reverts
)
VALUES (
    %(repair)s::uuid, %(who)s::text, %(started_from)s::text, %(host)s::text, %(pid)s::integer, %(guard_pid)s::integer,
    %(guard_start)s::timestamptz, %(worker_pid)s::integer, %(worker_start)s::timestamptz, %(plan_snapshot)s::text,
    %(plan_mode)s::text, %(choices)s::jsonb, %(code_version)s::text, %(reverts)s::uuid
)
RETURNING begun
