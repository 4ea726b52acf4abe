-- Define billing_mark_subscription: mark one subscription whose own inputs of its price changed.
CREATE OR REPLACE FUNCTION billing_mark_subscription() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $body$
BEGIN
    INSERT INTO billing_mark (subscription_ids, reason) VALUES (ARRAY[NEW.id], 'updated');
    RETURN NULL;
END
$body$
