-- Make the demo's services: 25 products in 8 editions, then the same again with a number. Prices are as a shop would
-- write them in their currency: 13,900 KRW, 9.99 USD, 3.250 KWD.
-- params: services
-- returns: made
WITH part AS (
    SELECT
        ARRAY[
            'Cloud Backup', 'Mail Archive', 'Video Rooms', 'Payroll', 'Web Hosting', 'Ticket Desk', 'Fax Gateway',
            'Password Vault', 'Stock Control', 'Shift Planner', 'E-Signature', 'Data Sync', 'Call Centre', 'Wiki',
            'Route Planner', 'Newsletter', 'Web Shop', 'Time Clock', 'Firewall', 'Print Queue', 'Map Tiles',
            'Translation', 'Log Search', 'Invoicing', 'Sensor Feed'
        ] AS products,
        ARRAY['Basic', 'Plus', 'Pro', 'Business', 'Premium', 'Campus', 'Flex', 'Max'] AS editions,
        ARRAY['KRW', 'USD', 'JPY', 'EUR', 'GBP', 'KWD', 'CHF', 'BHD'] AS currencies
),

numbered AS (
    SELECT
        n.n,
        concat_ws(
            ' ',
            p.products[1 + mod(n.n, 25)],
            p.editions[1 + mod(n.n / 25, 8)],
            CASE WHEN n.n >= 200 THEN n.n / 200 + 1 END
        ) AS title,
        p.currencies[1 + mod(n.n + n.n / 25, 8)] AS currency,
        -- 3 to 152 dollars: Knuth's multiplicative hash, the same on every machine and version.
        3 + mod(n.n * 2654435761, 4294967296) * 150 / 4294967296 AS dollars
    FROM generate_series(0, %(services)s::bigint - 1) AS n (n)
    CROSS JOIN part AS p
),

made AS (
    INSERT INTO billing_service (name, full_price, currency_id)
    SELECT
        s.title,
        CASE s.currency
            WHEN 'KRW' THEN s.dollars * 1300 / 1000 * 1000 + 900
            WHEN 'JPY' THEN s.dollars * 150 / 100 * 100 + 80
            WHEN 'KWD' THEN s.dollars * 0.3 + 0.25
            WHEN 'BHD' THEN s.dollars * 0.375
            WHEN 'CHF' THEN s.dollars + 0.95
            ELSE s.dollars + 0.99
        END AS full_price,
        s.currency
    FROM numbered AS s
    ORDER BY s.n
    RETURNING id
)

SELECT count(*) AS made FROM made
