-- Add the sample's stock codes that no service begins with. A service that is there keeps its name and its price:
-- a list price is changed by an operator, not by a file of old invoices.
-- returns: added
WITH added AS (
    INSERT INTO billing_service (name, full_price, currency_id)
    SELECT s.title, s.price, 'GBP' AS currency_id
    FROM pg_temp.billing_sample_service AS s
    WHERE s.is_new
    ORDER BY s.title
    ON CONFLICT (name) DO NOTHING
    RETURNING id
)

SELECT count(*) AS added FROM added
