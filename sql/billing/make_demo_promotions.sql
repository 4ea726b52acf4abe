-- Make the demo's promotions, of services, plans and pairs in turn: each fourth is over, in force for a while, in
-- force without end, or to come. Each has a priority of its own, so that none excludes another.
-- params: promotions, as_of
-- returns: made
WITH service AS (
    SELECT
        s.id, s.name, s.full_price, c.minor_units,
        row_number() OVER (ORDER BY s.id) - 1 AS place, count(*) OVER () AS services
    FROM billing_service AS s
    INNER JOIN billing_currency AS c ON c.code = s.currency_id
),

plan AS (
    SELECT p.id, p.name, row_number() OVER (ORDER BY p.id) - 1 AS place, count(*) OVER () AS plans
    FROM billing_plan AS p
),

made AS (
    INSERT INTO billing_promotion (name, service_id, plan_id, percent, amount, starts_at, ends_at, priority)
    SELECT
        CASE n %% 3 WHEN 0 THEN s.name WHEN 1 THEN p.name ELSE s.name || ' for ' || p.name END
        || ' ' || (ARRAY['spring offer', 'anniversary', 'welcome', 'autumn offer'])[1 + n / 3 %% 4],
        CASE WHEN n %% 3 <> 1 THEN s.id END,
        CASE WHEN n %% 3 <> 0 THEN p.id END,
        CASE WHEN NOT w.by_amount THEN 5 + n * 7 %% 30 END,
        -- An amount is in the service's currency, so only of a service or a pair.
        CASE WHEN w.by_amount THEN round(s.full_price * (10 + n %% 15) * 0.01, s.minor_units) END,
        %(as_of)s::timestamptz + (ARRAY[-90, -30, -60, 30])[1 + n / 3 %% 4] * interval '24 hours',
        %(as_of)s::timestamptz + (ARRAY[-30, 60, NULL, 90])[1 + n / 3 %% 4] * interval '24 hours',
        n + 1
    FROM generate_series(0, %(promotions)s::bigint - 1) AS n
    CROSS JOIN LATERAL (SELECT n %% 3 <> 1 AND n / 3 %% 5 IN (1, 3) AS by_amount) AS w
    INNER JOIN service AS s ON s.place = n * 7 %% s.services
    INNER JOIN plan AS p ON p.place = (n + n / 3) %% p.plans
    ORDER BY n
    RETURNING id
)

SELECT count(*) AS made FROM made
