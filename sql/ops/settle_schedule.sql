-- Move a schedule's frontier, where it is still what was read: of two who decide at a time, one does.
-- params: name, settled_at, seen_at, rule, was_settled_at, was_rule
-- returns: name
UPDATE ops_schedule
SET
    settled_at = %(settled_at)s::timestamptz,
    seen_at = greatest(seen_at, %(seen_at)s::timestamptz),
    rule = %(rule)s::text
WHERE
    name = %(name)s::text
    AND settled_at = %(was_settled_at)s::timestamptz
    AND rule = %(was_rule)s::text
RETURNING name
