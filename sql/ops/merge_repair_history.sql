-- Record a migration as applied; now, where no instant is given.
-- params: app, name, applied
-- returns: found
INSERT INTO django_migrations AS m (app, name, applied)
VALUES (%(app)s::text, %(name)s::text, coalesce(%(applied)s::timestamptz, clock_timestamp()))
RETURNING to_jsonb(m) AS found
