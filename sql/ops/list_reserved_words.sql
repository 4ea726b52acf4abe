-- The words of this server that have to be quoted where they are names.
-- returns: word
SELECT k.word::text AS word
FROM pg_get_keywords() AS k
WHERE k.catcode <> 'U'
ORDER BY k.word ASC
