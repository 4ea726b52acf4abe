-- Make the demo's quantity tiers: the first for every service in turn, then the second for every service, and so on.
-- params: tiers
-- returns: made
WITH service AS (
    SELECT s.id, row_number() OVER (ORDER BY s.id) - 1 AS place, count(*) OVER () AS total
    FROM billing_service AS s
),

made AS (
    INSERT INTO billing_quantitytier (service_id, minimum_quantity, percent)
    SELECT
        s.id,
        10 * (n.n / s.total + 1) * (n.n / s.total + 1) AS minimum_quantity,
        least(90, 3 + 4 * (n.n / s.total) + mod(s.place, 3)) AS percent
    FROM generate_series(0, %(tiers)s::bigint - 1) AS n (n)
    INNER JOIN service AS s ON s.place = mod(n.n, s.total)
    ORDER BY s.id, n.n
    RETURNING id
)

SELECT count(*) AS made FROM made
