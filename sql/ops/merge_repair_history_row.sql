-- Put a row of history back as it was, under its own id where that is free.
-- params: id, app, name, applied
-- returns: found
INSERT INTO django_migrations AS m (id, app, name, applied) OVERRIDING SYSTEM VALUE
SELECT w.id, w.app, w.name, w.applied
FROM (
    VALUES (%(id)s::bigint, %(app)s::text, %(name)s::text, %(applied)s::timestamptz)
) AS w (id, app, name, applied)
WHERE NOT EXISTS (SELECT 1 FROM django_migrations AS o WHERE o.id = w.id)
RETURNING to_jsonb(m) AS found
