-- What a repair, or what took some of it back, made of each object_key last.
-- params: repair
-- returns: object_key, made
SELECT DISTINCT ON (e.object_key) e.object_key, e.made
FROM ops_repair_entry AS e
INNER JOIN ops_repair AS r ON r.repair = e.repair
WHERE
    (r.repair = %(repair)s::uuid OR r.reverts = %(repair)s::uuid)
    AND e.kind = 'statement' AND e.state = 'done'
ORDER BY e.object_key ASC, r.begun DESC, e.step DESC
