-- Keep what the catalogue has of the objects that a repair made.
-- params: repair, steps, made
-- returns: step
UPDATE ops_repair_entry AS e
SET made = u.made::jsonb
FROM unnest(%(steps)s::integer[], %(made)s::text[]) AS u (step, made)
WHERE e.repair = %(repair)s::uuid AND e.step = u.step
RETURNING e.step
