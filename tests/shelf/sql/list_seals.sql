-- What each counter's note is, sealed with a key.
-- params: key
-- returns: id, note
SELECT c.id, md5(%(key)s::text || c.id) AS note FROM shelf_counter AS c
