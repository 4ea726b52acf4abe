-- Emails as they ought to be.
-- returns: id, email
SELECT c.id, lower(c.email) AS email
FROM shelf_counter AS c
