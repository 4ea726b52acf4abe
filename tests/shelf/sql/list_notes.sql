-- What each counter's note ought to be: its value in words.
-- returns: id, note
SELECT c.id, 'v is ' || c.v AS note
FROM shelf_counter AS c
