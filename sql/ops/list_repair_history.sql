-- The rows of history that bear a name, whole, and oldest first.
-- params: app, name
-- returns: found
SELECT to_jsonb(m) AS found
FROM django_migrations AS m
WHERE m.app = %(app)s::text AND m.name = %(name)s::text
ORDER BY (to_jsonb(m) ->> 'id')::bigint ASC, m.ctid ASC
