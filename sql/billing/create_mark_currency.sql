-- Define billing_mark_currency: mark the services whose currency's minor unit a statement changed.
CREATE OR REPLACE FUNCTION billing_mark_currency() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $body$
BEGIN
    INSERT INTO billing_mark (service_id, reason)
    SELECT s.id, TG_TABLE_NAME
    FROM new_rows AS n
    INNER JOIN old_rows AS o ON o.code = n.code AND o.minor_units <> n.minor_units
    INNER JOIN billing_service AS s ON s.currency_id = n.code;
    RETURN NULL;
END
$body$
