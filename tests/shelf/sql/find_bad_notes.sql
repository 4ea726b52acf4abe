-- Counters whose note must not be what it is.
-- returns: id, note
SELECT c.id, c.note
FROM shelf_counter AS c
WHERE c.v < 0
ORDER BY c.id ASC
