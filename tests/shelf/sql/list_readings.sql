-- Every reading at 7.
-- returns: day, id, v
SELECT t.day, t.id, 7 AS v FROM shelf_reading AS t
