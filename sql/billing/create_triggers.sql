-- Attach the functions that keep prices, price changes and marks in step to the tables they watch.
DO $body$
DECLARE
    input record;
BEGIN
    FOR input IN
        SELECT * FROM (VALUES
            ('billing_service', 'r.id', 'NULL'),
            ('billing_plan', 'NULL', 'r.id'),
            ('billing_promotion', 'r.service_id', 'r.plan_id'),
            ('billing_quantitytier', 'r.service_id', 'NULL'),
            ('billing_pricechange', 'r.service_id', 'r.plan_id'),
            ('billing_catalogue', 'NULL', 'NULL')
        ) AS t (table_name, service, plan)
    LOOP
        -- A service or plan that nobody can have subscribed to yet needs no mark.
        IF input.table_name NOT IN ('billing_service', 'billing_plan', 'billing_catalogue') THEN
            EXECUTE format(
                'CREATE TRIGGER billing_mark_insert AFTER INSERT ON %%I REFERENCING NEW TABLE AS new_rows '
                'FOR EACH STATEMENT EXECUTE FUNCTION billing_mark_inputs(%%L, %%L)',
                input.table_name, input.service, input.plan
            );
            EXECUTE format(
                'CREATE TRIGGER billing_mark_delete AFTER DELETE ON %%I REFERENCING OLD TABLE AS old_rows '
                'FOR EACH STATEMENT EXECUTE FUNCTION billing_mark_inputs(%%L, %%L)',
                input.table_name, input.service, input.plan
            );
            EXECUTE format(
                'CREATE TRIGGER billing_mark_truncate AFTER TRUNCATE ON %%I '
                'FOR EACH STATEMENT EXECUTE FUNCTION billing_mark_all()',
                input.table_name
            );
        END IF;
        IF input.table_name <> 'billing_catalogue' THEN
            EXECUTE format(
                'CREATE TRIGGER billing_mark_update AFTER UPDATE ON %%I '
                'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
                'FOR EACH STATEMENT EXECUTE FUNCTION billing_mark_inputs(%%L, %%L)',
                input.table_name, input.service, input.plan
            );
        END IF;
    END LOOP;

    -- A claim moves marked_until; only the columns that prices follow from mark everything.
    CREATE TRIGGER billing_mark_update AFTER UPDATE OF policy, reduction_order, zone ON billing_catalogue
    FOR EACH STATEMENT EXECUTE FUNCTION billing_mark_all();

    CREATE TRIGGER billing_mark_rows AFTER INSERT OR DELETE OR TRUNCATE ON billing_catalogue
    FOR EACH STATEMENT EXECUTE FUNCTION billing_mark_all();

    CREATE TRIGGER billing_mark_update AFTER UPDATE ON billing_currency
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION billing_mark_currency();

    CREATE TRIGGER billing_price_inserted AFTER INSERT ON billing_subscription
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION billing_price_inserted();

    -- A row trigger with a column list costs nothing where a job writes prices; a statement trigger with
    -- transition tables can have no column list and would copy every row that a run writes.
    CREATE TRIGGER billing_mark_subscription
    AFTER UPDATE OF service_id, plan_id, quantity, pinned_until, started_at, renews_at, billing_period
    ON billing_subscription
    FOR EACH ROW WHEN (
        (OLD.service_id, OLD.plan_id, OLD.quantity, OLD.pinned_until, OLD.started_at, OLD.renews_at,
            OLD.billing_period)
        IS DISTINCT FROM
        (NEW.service_id, NEW.plan_id, NEW.quantity, NEW.pinned_until, NEW.started_at, NEW.renews_at,
            NEW.billing_period)
    )
    EXECUTE FUNCTION billing_mark_subscription();

    CREATE TRIGGER billing_keep_old_value BEFORE INSERT ON billing_pricechange
    FOR EACH ROW EXECUTE FUNCTION billing_keep_old_value();

    CREATE TRIGGER billing_changes_inserted AFTER INSERT ON billing_pricechange
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION billing_changes_written();

    CREATE TRIGGER billing_changes_updated AFTER UPDATE ON billing_pricechange
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION billing_changes_written();

    CREATE TRIGGER billing_record_edit AFTER UPDATE ON billing_service
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION billing_record_edit('service_id', 'full_price');

    CREATE TRIGGER billing_record_edit AFTER UPDATE ON billing_plan
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION billing_record_edit('plan_id', 'discount_percent');
END
$body$
