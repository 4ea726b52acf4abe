-- The counters with odd keys.
-- returns: id
SELECT c.id FROM shelf_counter AS c WHERE mod(c.id, 2) = 1
