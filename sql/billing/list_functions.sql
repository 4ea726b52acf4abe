-- The functions of the price rule and of its triggers as they are in the database.
-- returns: function_name, body
SELECT p.proname::text AS function_name, p.prosrc AS body
FROM pg_proc AS p
WHERE p.proname LIKE 'billing\_%%' AND p.pronamespace = current_schema()::regnamespace
ORDER BY p.proname
