-- Define billing_record_edit: record a list price or a discount that was edited in place as a price change.
-- All follow it at once. An edit that only repeats the price change in force is that change taking effect.
-- billing.recording tells billing_keep_old_value that the value before is known, null included. (sqlfluff knows
-- no setting with a dot in its name.)
CREATE OR REPLACE FUNCTION billing_record_edit() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET billing.recording = 'on' -- noqa: PRS
AS $body$
DECLARE
    subject text := TG_ARGV[0];
    value_column text := TG_ARGV[1];
BEGIN
    -- A statement's triggers fire for no rows too; without this the two tables' triggers would call each other.
    IF current_setting('billing.applying', true) = 'on' OR NOT EXISTS (SELECT 1 FROM new_rows) THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'INSERT INTO billing_pricechange (%%1$I, old_value, new_value, effective_at, follow, scope) '
        'SELECT n.id, o.%%2$I, n.%%2$I, clock_timestamp(), ''at_once'', ''all'' '
        'FROM new_rows AS n INNER JOIN old_rows AS o ON o.id = n.id AND o.%%2$I IS DISTINCT FROM n.%%2$I '
        'WHERE NOT EXISTS ('
        '  SELECT 1 FROM (SELECT c.new_value FROM billing_pricechange AS c '
        '    WHERE c.%%1$I = n.id AND c.effective_at <= clock_timestamp() '
        '    ORDER BY c.effective_at DESC LIMIT 1) AS f WHERE f.new_value IS NOT DISTINCT FROM n.%%2$I) '
        'ON CONFLICT (%%1$I, effective_at) DO UPDATE SET new_value = excluded.new_value',
        subject, value_column
    );
    RETURN NULL;
END
$body$
