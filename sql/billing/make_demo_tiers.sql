-- Make the demo's quantity tiers: the first for every service in turn, then the second for every service, and so on.
-- params: tiers
-- returns: made
WITH service AS (
    SELECT s.id, row_number() OVER (ORDER BY s.id) - 1 AS place, count(*) OVER () AS services
    FROM billing_service AS s
),

made AS (
    INSERT INTO billing_quantitytier (service_id, minimum_quantity, percent)
    SELECT s.id, (n / s.services + 1) * (n / s.services + 1) * 10, least(90, 3 + 4 * (n / s.services) + s.place %% 3)
    FROM generate_series(0, %(tiers)s::bigint - 1) AS n
    INNER JOIN service AS s ON s.place = n %% s.services
    ORDER BY s.id, n
    RETURNING id
)

SELECT count(*) AS made FROM made
