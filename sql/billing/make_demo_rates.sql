-- Make rates of the demo's currencies for the 400 days up to today, none on weekends, as the ECB has it; a currency
-- that has rates of its own keeps them and gets no others.
-- Each swings by 2.5 % around its middle, which is about that of 2026: up for 100 days, then down.
-- params: today
-- returns: made
WITH middle AS (
    SELECT m.currency, m.rate, m.place
    FROM (
        VALUES
        ('BHD', 0.4080, 1), ('CHF', 0.9380, 2), ('GBP', 0.8720, 3), ('JPY', 171.20, 4), ('KRW', 1621.50, 5),
        ('KWD', 0.3330, 6), ('USD', 1.0850, 7)
    ) AS m (currency, rate, place)
    WHERE NOT EXISTS (SELECT 1 FROM billing_fxrate AS f WHERE f.currency = m.currency)
),

made AS (
    INSERT INTO billing_fxrate (currency, day, rate)
    SELECT
        m.currency,
        %(today)s::date - n.n AS day, -- noqa: RF04, the column's own name
        round(m.rate * (1 + (abs(mod(n.n + 29 * m.place, 200) - 100) - 50) * 0.0005), 4) AS rate
    FROM middle AS m
    CROSS JOIN generate_series(0, 399) AS n (n)
    WHERE extract(ISODOW FROM %(today)s::date - n.n) < 6
    ORDER BY m.currency, n.n
    RETURNING currency
)

SELECT count(*) AS made FROM made
