-- Add the currencies of the demo that are not there yet.
-- returns: made
WITH made AS (
    INSERT INTO billing_currency (code, minor_units)
    VALUES ('BHD', 3), ('CHF', 2), ('EUR', 2), ('GBP', 2), ('JPY', 0), ('KRW', 0), ('KWD', 3), ('USD', 2)
    ON CONFLICT (code) DO NOTHING
    RETURNING code
)

SELECT count(*) AS made FROM made
