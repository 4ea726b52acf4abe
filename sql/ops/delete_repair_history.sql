-- Take a row out of history that is still as it is known; it is in the audit by then.
-- params: was
-- returns: found
DELETE FROM django_migrations AS m
WHERE to_jsonb(m) = %(was)s::jsonb
RETURNING to_jsonb(m) AS found
