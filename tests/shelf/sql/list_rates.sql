-- Every rate at 7.
-- returns: currency, version, slot, v
SELECT t.currency, t.version, t.slot, 7 AS v FROM shelf_rate AS t
