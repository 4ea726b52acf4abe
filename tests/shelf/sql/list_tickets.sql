-- Every ticket at 7.
-- returns: id, v
SELECT t.id, 7 AS v FROM shelf_ticket AS t
