-- Add the sample's customers whose name no client has.
-- returns: added
WITH added AS (
    INSERT INTO billing_client (name)
    SELECT c.title
    FROM pg_temp.billing_sample_client AS c
    WHERE NOT EXISTS (SELECT 1 FROM billing_client AS k WHERE k.name = c.title)
    ORDER BY c.title
    RETURNING id
)

SELECT count(*) AS added FROM added
