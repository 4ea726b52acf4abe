-- Define billing_changes_written: after price changes were inserted or edited, put those in force into effect.
CREATE OR REPLACE FUNCTION billing_changes_written() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $body$
BEGIN
    -- A statement's triggers fire for no rows too; without this the two tables' triggers would call each other.
    IF NOT EXISTS (SELECT 1 FROM new_rows) THEN
        RETURN NULL;
    END IF;
    PERFORM billing_apply_changes(
        clock_timestamp(),
        (SELECT coalesce(array_agg(n.service_id), '{{}}') FROM new_rows AS n WHERE n.service_id IS NOT NULL),
        (SELECT coalesce(array_agg(n.plan_id), '{{}}') FROM new_rows AS n WHERE n.plan_id IS NOT NULL)
    );
    RETURN NULL;
END
$body$
