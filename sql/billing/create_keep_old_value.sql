-- Define billing_keep_old_value: note on a new price change the value that it replaces.
-- That is the value of the change before it, or, with none before it, what was in force before all changes.
CREATE OR REPLACE FUNCTION billing_keep_old_value() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $body$
DECLARE
    before record;
BEGIN
    IF NEW.old_value IS NOT NULL OR current_setting('billing.recording', true) = 'on' THEN
        RETURN NEW;
    END IF;
    SELECT c.new_value AS value INTO before
    FROM billing_pricechange AS c
    WHERE
        (c.service_id = NEW.service_id OR c.plan_id = NEW.plan_id)
        AND c.effective_at < NEW.effective_at
    ORDER BY c.effective_at DESC
    LIMIT 1;
    IF NOT found THEN
        SELECT c.old_value AS value INTO before
        FROM billing_pricechange AS c
        WHERE (c.service_id = NEW.service_id OR c.plan_id = NEW.plan_id)
        ORDER BY c.effective_at ASC
        LIMIT 1;
    END IF;
    IF NOT found THEN
        SELECT coalesce(
            (SELECT s.full_price FROM billing_service AS s WHERE s.id = NEW.service_id),
            (SELECT p.discount_percent FROM billing_plan AS p WHERE p.id = NEW.plan_id)
        ) AS value INTO before;
    END IF;
    NEW.old_value := before.value;
    RETURN NEW;
END
$body$
