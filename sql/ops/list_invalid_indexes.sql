-- Indexes that are written and never read, for their making has failed; those that are being made are left out.
-- returns: relation, name
SELECT i.indrelid::regclass::text AS relation, i.indexrelid::regclass::text AS name
FROM pg_index AS i
INNER JOIN pg_class AS c ON c.oid = i.indexrelid
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    NOT i.indisvalid
    AND c.relkind = 'i'
    AND n.nspname NOT LIKE 'pg\_%%'
    AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid)
ORDER BY 1 ASC, 2 ASC
