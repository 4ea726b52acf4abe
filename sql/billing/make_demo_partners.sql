-- Make partners of clients that stand at equal distances. In turn they report in five currencies, each in a zone where
-- it is used, and have no limit, or one in their own currency or in dollars.
-- params: partners
-- returns: made
WITH part AS (
    SELECT
        ARRAY['KRW', 'USD', 'JPY', 'EUR', 'KWD'] AS currencies,
        ARRAY['Asia/Seoul', 'America/New_York', 'Asia/Tokyo', 'Europe/Berlin', 'Asia/Kuwait'] AS zones,
        ARRAY[20000000, 15000, 2300000, 14000, 4500] AS own_limits
),

client AS (
    SELECT
        c.id,
        row_number() OVER (ORDER BY c.id) - 1 AS place,
        greatest(1, count(*) OVER () / greatest(%(partners)s::bigint, 1)) AS distance
    FROM billing_client AS c
),

chosen AS (
    SELECT c.id, c.place / c.distance AS n
    FROM client AS c
    WHERE mod(c.place, c.distance) = 0 AND c.place / c.distance < %(partners)s::bigint
),

made AS (
    INSERT INTO billing_partner (client_id, currency_id, zone, credit_limit, credit_currency_id)
    SELECT
        c.id,
        p.currencies[1 + mod(c.n, 5)] AS currency,
        p.zones[1 + mod(c.n, 5)] AS zone, -- noqa: RF04, the column's own name
        CASE mod(c.n / 5, 4)
            WHEN 0 THEN p.own_limits[1 + mod(c.n, 5)]
            WHEN 1 THEN 40000
            WHEN 2 THEN 2 * p.own_limits[1 + mod(c.n, 5)]
        END AS credit_limit,
        CASE mod(c.n / 5, 4) WHEN 3 THEN NULL WHEN 1 THEN 'USD' ELSE p.currencies[1 + mod(c.n, 5)] END
            AS credit_currency
    FROM chosen AS c
    CROSS JOIN part AS p
    ORDER BY c.n
    RETURNING id
)

SELECT count(*) AS made FROM made
