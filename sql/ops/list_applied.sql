-- The migrations of ops that are recorded as applied.
-- returns: name
SELECT m.name
FROM django_migrations AS m
WHERE m.app = 'ops'
