-- Give a row of history, as it is known, another name; its instant stays.
-- params: was, new_name
-- returns: found
UPDATE django_migrations AS m
SET name = %(new_name)s::text
WHERE to_jsonb(m) = %(was)s::jsonb
RETURNING to_jsonb(m) AS found
