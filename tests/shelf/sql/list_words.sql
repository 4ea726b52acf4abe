-- Every word at 7.
-- returns: word, v
SELECT t.word, 7 AS v FROM shelf_word AS t
