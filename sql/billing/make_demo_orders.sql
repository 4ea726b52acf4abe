-- Make the demo's orders, hotels, cars and upsells in turn, in five currencies, due from 180 days ago to 60 days ahead,
-- three of four paid where they are due. Three hashes of the number stand in for chance, as for subscriptions.
-- Each 997th was sold without a rate, as where a currency is new; the others have that of the day of sale, or of the
-- newest day before it.
-- params: orders, as_of, today
-- returns: made
WITH part AS (
    SELECT
        ARRAY['hotel', 'car', 'upsell'] AS kinds,
        ARRAY['H', 'C', 'U'] AS letters,
        -- Ten for each type, drawn evenly.
        ARRAY[
            ARRAY[
                'completed', 'completed', 'completed', 'completed', 'booked', 'booked', 'no_show', 'cancelled',
                'cancelled', 'on_request'
            ],
            ARRAY[
                'completed', 'completed', 'completed', 'completed', 'reserved', 'reserved', 'picked_up', 'picked_up',
                'cancelled', 'cancelled'
            ],
            ARRAY[
                'completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'ordered', 'ordered',
                'cancelled', 'cancelled'
            ]
        ] AS statuses,
        ARRAY['KRW', 'USD', 'JPY', 'EUR', 'KWD'] AS currencies,
        -- What a dollar is in them, about, and to how many digits prices are written.
        ARRAY[1500, 1, 158, 0.92, 0.307] AS factors,
        ARRAY[-2, 2, -1, 2, 3] AS digits
),

partner AS (
    SELECT array_agg(p.id ORDER BY p.id) AS ids, count(*) AS total FROM billing_partner AS p
),

hashed AS (
    SELECT
        n.n,
        mod(n.n * 2654435761, 4294967296) AS h1,
        mod(n.n * 2246822519, 4294967291) AS h2,
        mod(n.n * 3266489917, 4294967279) AS h3
    FROM generate_series(1, %(orders)s::bigint) AS n (n)
),

drawn AS (
    SELECT
        h.n, h.h1, h.h2, h.h3,
        r.ids[1 + h.h2 * r.total / 4294967291] AS partner_id,
        p.kinds[1 + mod(h.n, 3)] AS type, -- noqa: RF04, the column's own name
        p.letters[1 + mod(h.n, 3)] || '-' || lpad(h.n::text, 7, '0') AS reference,
        p.statuses[1 + mod(h.n, 3)][1 + h.h3 * 10 / 4294967279] AS status,
        p.currencies[1 + mod(h.h1 / 7, 5)] AS currency,
        round((20 + h.h3 * 1480.0 / 4294967279) * p.factors[1 + mod(h.h1 / 7, 5)], p.digits[1 + mod(h.h1 / 7, 5)])
            AS amount,
        p.digits[1 + mod(h.h1 / 7, 5)] AS digits,
        %(today)s::date - 180 + mod(h.h1, 241)::integer AS due_on,
        (ARRAY[0, 7, 14, 30])[1 + mod(h.h2, 4)] AS days_open
    FROM hashed AS h
    CROSS JOIN part AS p
    CROSS JOIN partner AS r
),

dated AS MATERIALIZED (
    SELECT
        d.n, d.h1, d.h2, d.partner_id, d.type, d.reference, d.status, d.currency, d.amount, d.due_on,
        d.due_on - d.days_open AS pending_on,
        d.status = 'cancelled' AS cancelled,
        -- Up to two months before it is to be paid, in the past.
        least(
            (d.due_on - d.days_open) AT TIME ZONE 'UTC' - make_interval(mins => (1 + mod(d.h1, 86400))::integer),
            %(as_of)s::timestamptz - make_interval(mins => (1 + mod(d.h2, 20160))::integer)
        ) AS sold_at,
        CASE WHEN d.status = 'cancelled' AND mod(d.h1, 2) = 0 THEN round(d.amount * 0.2, d.digits) ELSE 0 END
            AS penalty,
        CASE WHEN d.status = 'cancelled' AND mod(d.h1, 3) > 0 THEN round(d.amount * 0.8, d.digits) ELSE 0 END
            AS refund
    FROM drawn AS d
),

made AS (
    INSERT INTO billing_order (
        partner_id, type, reference, status, sold_at, sell_amount, sell_currency_id, sell_rate, penalty_amount,
        refund_amount, refund_currency_id, refund_rate, pending_on, due_on, paid_on, refunded_on
    )
    SELECT
        d.partner_id, d.type, d.reference, d.status, d.sold_at, d.amount, d.currency,
        CASE WHEN mod(d.n, 997) > 0 OR d.currency = 'EUR' THEN f.rate END AS sell_rate,
        d.penalty, d.refund,
        CASE WHEN d.refund > 0 THEN d.currency END AS refund_currency,
        CASE WHEN d.refund > 0 AND (mod(d.n, 997) > 0 OR d.currency = 'EUR') THEN f.rate END AS refund_rate,
        d.pending_on, d.due_on,
        CASE
            WHEN
                d.due_on < %(today)s::date AND mod(d.h2, 8) < 6
                AND d.status <> 'on_request' AND (NOT d.cancelled OR d.penalty > 0)
                THEN least(d.due_on + mod(d.h2 / 8, 40)::integer - 10, %(today)s::date - 1)
        END AS paid_on,
        CASE
            WHEN d.refund > 0 AND d.pending_on < %(today)s::date - 20 AND mod(d.h2, 4) > 0 THEN d.pending_on + 14
        END AS refunded_on
    FROM dated AS d
    INNER JOIN billing_partner AS p ON p.id = d.partner_id
    LEFT JOIN LATERAL ( -- noqa: ST05, a lateral subquery cannot be a CTE
        (SELECT 1 AS rate WHERE d.currency = 'EUR')
        UNION ALL
        (
            SELECT x.rate
            FROM billing_fxrate AS x
            WHERE x.currency = d.currency AND x.day <= (d.sold_at AT TIME ZONE p.zone)::date
            ORDER BY x.day DESC
            LIMIT 1
        )
    ) AS f ON TRUE
    ORDER BY d.n
    RETURNING id
)

SELECT count(*) AS made FROM made
