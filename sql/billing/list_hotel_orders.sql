-- Hotel bookings as orders, so many rows after a booking's key: what of each counts follows from status and deposit.
-- A rate is that of the day of sale or of the newest day before it, at most max_age days older; the euro's is 1.
-- paid_on and refunded_on are invented: of ten orders six are paid on the day they are due, two 20 and one 75 days
-- late, one never; of ten refunds eight go out 14 days after the cancellation. A hash of the booking draws, so that it
-- is the same everywhere.
-- params: after, up_to, terms, zone, max_age
-- returns: id, reference, type, partner, status, sold_at, sell_amount, sell_currency, sell_rate, penalty_amount,
--   refund_amount, refund_currency, refund_rate, pending_on, due_on, paid_on, refunded_on, hotel, daily_rate
WITH booking AS (
    SELECT
        b.id, b.identity, b.occurrence, b.hotel, b.status, b.deposit_type, b.booked_on, b.daily_rate, b.currency_id,
        b.status = 'Canceled' AS cancelled,
        CASE
            WHEN b.company IS NOT NULL THEN 'company ' || b.company
            WHEN b.agent IS NOT NULL THEN 'agent ' || b.agent
            ELSE 'direct ' || b.hotel
        END AS partner_reference,
        round(b.daily_rate * b.nights, c.minor_units) AS amount,
        -- What is owed for a cancelled booking is owed from that day on.
        CASE WHEN b.status = 'Canceled' THEN b.status_on ELSE b.arrives_on END AS pending_on,
        CASE WHEN b.status = 'Canceled' THEN b.status_on ELSE b.arrives_on + b.nights END
        + %(terms)s::integer AS due_on,
        1 + mod(('x' || left(b.identity::text, 8))::bit(32)::bigint + b.occurrence, 10) AS draw
    FROM billing_hotelbooking AS b
    INNER JOIN billing_currency AS c ON c.code = b.currency_id
    WHERE b.id > %(after)s::bigint
    ORDER BY b.id ASC
    LIMIT %(up_to)s::integer
),

due AS (
    SELECT
        b.id,
        CASE WHEN b.cancelled AND b.deposit_type = 'Non Refund' THEN greatest(b.amount, 0) ELSE 0 END AS penalty,
        CASE WHEN b.cancelled AND b.deposit_type = 'Refundable' THEN greatest(b.amount, 0) ELSE 0 END AS refund
    FROM booking AS b
)

SELECT
    b.id,
    b.identity || '-' || b.occurrence AS reference,
    'hotel' AS type, -- noqa: RF04, the column's own name
    p.id AS partner,
    CASE b.status WHEN 'Check-Out' THEN 'completed' WHEN 'Canceled' THEN 'cancelled' WHEN 'No-Show' THEN 'no_show' END
        AS status,
    (b.booked_on + time '12:00') AT TIME ZONE %(zone)s::text AS sold_at,
    b.amount AS sell_amount,
    b.currency_id AS sell_currency,
    r.rate AS sell_rate,
    d.penalty AS penalty_amount,
    d.refund AS refund_amount,
    CASE WHEN d.refund <> 0 THEN b.currency_id END AS refund_currency,
    CASE WHEN d.refund <> 0 THEN r.rate END AS refund_rate,
    b.pending_on,
    b.due_on,
    CASE
        WHEN CASE WHEN b.cancelled THEN d.penalty ELSE b.amount END > 0
            THEN b.due_on + (ARRAY[0, 0, 0, 0, 0, 0, 20, 20, 75, NULL])[b.draw]
    END AS paid_on,
    CASE
        WHEN d.refund > 0 THEN b.pending_on + (ARRAY[14, 14, 14, 14, 14, 14, 14, 14, NULL, NULL])[b.draw]
    END AS refunded_on,
    b.hotel,
    b.daily_rate
FROM booking AS b
INNER JOIN due AS d ON d.id = b.id
LEFT JOIN billing_partner AS p ON p.reference = b.partner_reference
LEFT JOIN LATERAL ( -- noqa: ST05, a lateral subquery cannot be a CTE
    (SELECT 1 AS rate WHERE b.currency_id = 'EUR')
    UNION ALL
    (
        SELECT f.rate
        FROM billing_fxrate AS f
        WHERE
            f.currency = b.currency_id
            AND f.day <= b.booked_on
            AND f.day >= b.booked_on - %(max_age)s::integer
        ORDER BY f.day DESC
        LIMIT 1
    )
) AS r ON TRUE
ORDER BY b.id ASC
