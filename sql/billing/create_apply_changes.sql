-- Define billing_apply_changes: bring full_price and discount_percent in line with the price changes in force.
-- service_ids and plan_ids bound the work; null means all. Returns how many services and plans it wrote.
CREATE OR REPLACE FUNCTION billing_apply_changes(
    as_of timestamptz, service_ids bigint [], plan_ids bigint []
) RETURNS bigint
LANGUAGE sql
AS $body$
    WITH in_force AS (
        SELECT DISTINCT ON (c.service_id, c.plan_id)
            c.service_id, c.plan_id, c.new_value
        FROM billing_pricechange AS c
        WHERE
            c.effective_at <= as_of
            AND (
                (c.service_id IS NOT NULL AND (service_ids IS NULL OR c.service_id = ANY(service_ids)))
                OR (c.plan_id IS NOT NULL AND (plan_ids IS NULL OR c.plan_id = ANY(plan_ids)))
            )
        ORDER BY c.service_id, c.plan_id, c.effective_at DESC
    ),

    services AS (
        UPDATE billing_service AS s
        SET full_price = f.new_value
        FROM in_force AS f
        WHERE s.id = f.service_id AND s.full_price IS DISTINCT FROM f.new_value
        RETURNING s.id
    ),

    plans AS (
        UPDATE billing_plan AS p
        SET discount_percent = f.new_value
        FROM in_force AS f
        WHERE p.id = f.plan_id AND p.discount_percent IS DISTINCT FROM f.new_value
        RETURNING p.id
    )

    SELECT (SELECT count(*) FROM services) + (SELECT count(*) FROM plans)
$body$
