-- Begin to count a schedule's slots, from now on; one that is counted already stays as it is.
-- params: name, rule, now
-- returns: name
INSERT INTO ops_schedule (name, rule, settled_at, seen_at)
VALUES (%(name)s::text, %(rule)s::text, %(now)s::timestamptz, %(now)s::timestamptz)
ON CONFLICT (name) DO NOTHING
RETURNING name
