-- Make the function that names what has a version: a table, or of a partition the table that it is of.
CREATE OR REPLACE FUNCTION ops_versioned_name(relation oid) RETURNS text LANGUAGE sql STABLE AS $$
SELECT n.nspname || '.' || c.relname
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = coalesce(pg_partition_root(relation), relation)
$$
