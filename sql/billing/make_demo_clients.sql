-- Make the demo's clients: 40 x 25 x 8 names, then the same again with a number.
-- Their addresses under demo.example, a name that nobody can own, tell demo data from real data.
-- params: clients
-- returns: made
WITH part AS (
    SELECT
        ARRAY[
            'Aurora', 'Hanbit', 'Northgate', 'Cedar', 'Blue Harbour', 'Saehan', 'Kestrel', 'Marigold', 'Ilsan',
            'Copper', 'Evergreen', 'Daon', 'Silverline', 'Juniper', 'Halla', 'Riverside', 'Onyx', 'Maple', 'Sejong',
            'Falcon', 'Tidewater', 'Nuri', 'Granite', 'Willow', 'Hangang', 'Sterling', 'Prairie', 'Mirae', 'Beacon',
            'Coral', 'Bada', 'Highland', 'Cobalt', 'Jade', 'Dongbaek', 'Lantern', 'Summit', 'Yeouido', 'Orchard',
            'Polaris'
        ] AS first_words,
        ARRAY[
            'Foods', 'Logistics', 'Dental', 'Textiles', 'Robotics', 'Books', 'Motors', 'Academy', 'Pharma', 'Studio',
            'Shipping', 'Bakery', 'Optics', 'Farms', 'Travel', 'Systems', 'Paper', 'Fitness', 'Ceramics', 'Energy',
            'Media', 'Furniture', 'Tea', 'Instruments', 'Insurance'
        ] AS second_words,
        ARRAY['Ltd', 'Inc', 'Co', 'GmbH', 'KK', 'LLC', 'Group', 'Partners'] AS forms
),

made AS (
    INSERT INTO billing_client (name, email)
    SELECT
        concat_ws(
            ' ',
            p.first_words[1 + mod(n.n, 40)],
            p.second_words[1 + mod(n.n + n.n / 40, 25)],
            p.forms[1 + mod(n.n + n.n / 1000, 8)],
            CASE WHEN n.n >= 8000 THEN n.n / 8000 + 1 END
        ) AS full_name,
        'billing' || n.n + 1 || '@demo.example' AS email
    FROM generate_series(0, %(clients)s::bigint - 1) AS n (n)
    CROSS JOIN part AS p
    ORDER BY n.n
    RETURNING id
)

SELECT count(*) AS made FROM made
