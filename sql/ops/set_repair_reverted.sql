-- Keep by which repair a step of another was taken back.
-- params: repair, step, reverted_by
-- returns: step
UPDATE ops_repair_entry AS e
SET reverted_by = %(reverted_by)s::uuid
WHERE e.repair = %(repair)s::uuid AND e.step = %(step)s::integer
RETURNING e.step
