-- Define billing_mark_all: mark every subscription, after a change of how the whole catalogue is priced.
CREATE OR REPLACE FUNCTION billing_mark_all() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $body$
BEGIN
    INSERT INTO billing_mark (reason) VALUES (TG_TABLE_NAME);
    RETURN NULL;
END
$body$
