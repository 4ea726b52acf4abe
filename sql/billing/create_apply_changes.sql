-- Define billing_apply_changes: bring full_price and discount_percent in line with the price changes in force.
-- service_ids and plan_ids bound the work; null means all. Before the first change that is what it replaces. What
-- this function writes is no edit to be recorded (see billing_record_edit): billing.applying says so to the trigger.
-- Returns how many services and plans it wrote. (sqlfluff knows no setting with a dot in its name.)
CREATE OR REPLACE FUNCTION billing_apply_changes(
    as_of timestamptz, service_ids bigint[], plan_ids bigint[]
) RETURNS bigint
LANGUAGE sql
SET billing.applying = 'on' -- noqa: PRS
AS $body$
    WITH in_force AS (
        SELECT DISTINCT ON (c.service_id, c.plan_id)
            c.service_id, c.plan_id,
            CASE WHEN c.effective_at <= as_of THEN c.new_value ELSE c.old_value END AS value
        FROM billing_pricechange AS c
        WHERE
            (c.service_id IS NOT NULL AND (service_ids IS NULL OR c.service_id = ANY(service_ids)))
            OR (c.plan_id IS NOT NULL AND (plan_ids IS NULL OR c.plan_id = ANY(plan_ids)))
        -- The last that has taken effect, else the first that will.
        ORDER BY
            c.service_id, c.plan_id, c.effective_at <= as_of DESC,
            abs(extract(EPOCH FROM c.effective_at - as_of))
    ),

    services AS (
        UPDATE billing_service AS s
        SET full_price = f.value
        FROM in_force AS f
        WHERE s.id = f.service_id AND s.full_price IS DISTINCT FROM f.value
        RETURNING s.id
    ),

    plans AS (
        UPDATE billing_plan AS p
        SET discount_percent = f.value
        FROM in_force AS f
        WHERE p.id = f.plan_id AND p.discount_percent IS DISTINCT FROM f.value
        RETURNING p.id
    )

    SELECT (SELECT count(*) FROM services) + (SELECT count(*) FROM plans)
$body$
