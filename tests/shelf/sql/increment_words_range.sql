-- Add to the words of a range of keys.
-- params: by, first, last
-- returns: word, v
UPDATE shelf_word AS t
SET v = t.v + %(by)s::bigint
WHERE t.word BETWEEN %(first)s::text AND %(last)s::text
RETURNING t.word, t.v
