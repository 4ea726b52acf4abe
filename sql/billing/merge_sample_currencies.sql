-- Make the currency of the sample's prices known.
-- returns: added
WITH added AS (
    INSERT INTO billing_currency (code, minor_units)
    VALUES ('GBP', 2)
    ON CONFLICT (code) DO NOTHING
    RETURNING code
)

SELECT count(*) AS added FROM added
