-- Tables for which autovacuum has been switched off.
-- returns: relation
SELECT c.oid::regclass::text AS relation
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN unnest(c.reloptions) AS o (word)
WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\_%%' AND o.word ~ '^autovacuum_enabled=(false|off|no|0)$'
ORDER BY 1 ASC
