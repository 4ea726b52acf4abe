-- A repair, by its own name or by that of its run.
-- params: repair, run
-- returns: repair, begun, ended, state, who, started_from, plan_snapshot, plan_mode, choices, run, reverts, message
SELECT
    r.repair, r.begun, r.ended, r.state, r.who, r.started_from, r.plan_snapshot, r.plan_mode, r.choices, r.run,
    r.reverts, r.message
FROM ops_repair AS r
WHERE r.repair = %(repair)s::uuid OR r.run = %(run)s::bigint
ORDER BY r.begun DESC, r.repair ASC
LIMIT 1
