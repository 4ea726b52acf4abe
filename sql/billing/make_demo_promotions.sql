-- Make the demo's promotions, of services, plans and pairs in turn: each fourth is over, in force for a while, in
-- force without end, or to come. Each has a priority of its own, so that none excludes another.
-- params: promotions, as_of
-- returns: made
WITH season AS (
    SELECT
        ARRAY['spring offer', 'anniversary', 'welcome', 'autumn offer'] AS labels,
        ARRAY[-90, -30, -60, 30] AS first_days,
        ARRAY[-30, 60, NULL, 90] AS end_days
),

service AS (
    SELECT
        s.id, s.name, s.full_price, c.minor_units,
        row_number() OVER (ORDER BY s.id) - 1 AS place,
        count(*) OVER () AS total
    FROM billing_service AS s
    INNER JOIN billing_currency AS c ON c.code = s.currency_id
),

plan AS (
    SELECT p.id, p.name, row_number() OVER (ORDER BY p.id) - 1 AS place, count(*) OVER () AS total
    FROM billing_plan AS p
),

numbered AS (
    SELECT
        n.n,
        mod(n.n, 3) <> 1 AS of_service,
        mod(n.n, 3) <> 0 AS of_plan,
        -- An amount is in the service's currency, so only of a service or a pair.
        mod(n.n, 3) <> 1 AND mod(n.n / 3, 5) IN (1, 3) AS by_amount,
        1 + mod(n.n / 3, 4) AS season
    FROM generate_series(0, %(promotions)s::bigint - 1) AS n (n)
),

made AS (
    INSERT INTO billing_promotion (name, service_id, plan_id, percent, amount, starts_at, ends_at, priority)
    SELECT
        concat_ws(
            ' ',
            CASE WHEN n.of_service THEN s.name END,
            CASE WHEN n.of_service AND n.of_plan THEN 'for' END,
            CASE WHEN n.of_plan THEN p.name END,
            a.labels[n.season]
        ) AS title,
        CASE WHEN n.of_service THEN s.id END AS service_id,
        CASE WHEN n.of_plan THEN p.id END AS plan_id,
        CASE WHEN NOT n.by_amount THEN 5 + mod(n.n * 7, 30) END AS percent,
        CASE WHEN n.by_amount THEN round(s.full_price * (10 + mod(n.n, 15)) * 0.01, s.minor_units) END AS amount,
        %(as_of)s::timestamptz + a.first_days[n.season] * interval '24 hours' AS starts_at,
        %(as_of)s::timestamptz + a.end_days[n.season] * interval '24 hours' AS ends_at,
        n.n + 1 AS priority
    FROM numbered AS n
    CROSS JOIN season AS a
    INNER JOIN service AS s ON s.place = mod(n.n * 7, s.total)
    INNER JOIN plan AS p ON p.place = mod(n.n + n.n / 3, p.total)
    ORDER BY n.n
    RETURNING id
)

SELECT count(*) AS made FROM made
