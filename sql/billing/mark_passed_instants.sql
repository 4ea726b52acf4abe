-- Turn the instants that passed since the last claim into marks, and put price changes now in force into effect:
-- in force by the server's clock, since as of an instant ago a price edited meanwhile would be set back.
-- Claims wait for each other on the catalogue's row.
-- params: as_of
-- returns: marks, written
WITH catalogue AS (
    SELECT k.id, k.marked_until FROM billing_catalogue AS k FOR NO KEY UPDATE
),

moved AS (
    UPDATE billing_catalogue AS k
    SET marked_until = greatest(k.marked_until, %(as_of)s::timestamptz)
    FROM catalogue AS c
    WHERE k.id = c.id
    RETURNING k.id
),

marked AS (
    INSERT INTO billing_mark (service_id, plan_id, subscription_ids, reason)
    SELECT i.service_id, i.plan_id, i.subscription_ids, i.reason
    FROM catalogue AS c
    CROSS JOIN billing_passed_instants(coalesce(c.marked_until, '-infinity'), %(as_of)s::timestamptz) AS i
    RETURNING id
)

SELECT
    (SELECT count(*) FROM marked) AS marks,
    (SELECT billing_apply_changes(clock_timestamp(), NULL, NULL) FROM moved) AS written
