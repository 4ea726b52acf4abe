-- Receivables by hand: what one writes for just these statuses, four ages and the rates of the sale; nothing is named
-- that lacks a rate. Rounded twice (the quotient, then the amount), as one does.
WITH day_rate AS (
    SELECT c.currency, d.on_day::date AS on_day, CASE c.currency WHEN 'EUR' THEN 1 ELSE f.rate END AS rate
    FROM (SELECT DISTINCT p.currency_id AS currency FROM billing_partner AS p) AS c
    CROSS JOIN
        generate_series(
            (SELECT min(o.sold_at)::date - 1 FROM billing_order AS o), %(as_of)s::date + 1, '1 day'
        ) AS d (on_day)
    LEFT JOIN LATERAL (
        SELECT r.rate FROM billing_fxrate AS r
        WHERE r.currency = c.currency AND r.day <= d.on_day AND r.day >= d.on_day - interval '10 days'
        ORDER BY r.day DESC LIMIT 1
    ) AS f ON TRUE
),

partner AS (
    SELECT
        p.id,
        p.currency_id AS currency,
        p.zone,
        p.credit_limit,
        p.credit_currency_id,
        c.minor_units::integer AS minor_units,
        (%(as_of)s::timestamptz AT TIME ZONE p.zone)::date AS today
    FROM billing_partner AS p
    INNER JOIN billing_currency AS c ON c.code = p.currency_id
),

amount AS (
    SELECT
        p.id AS partner_id,
        o.pending_on,
        o.due_on,
        p.today,
        CASE
            WHEN o.paid_on IS NULL OR o.paid_on > p.today THEN round(
                CASE o.status WHEN 'cancelled' THEN o.penalty_amount ELSE o.sell_amount END
                * CASE WHEN o.sell_currency_id = p.currency THEN 1 ELSE t.rate / o.sell_rate END,
                p.minor_units
            )
        END AS owed,
        CASE
            WHEN o.status = 'cancelled' AND (o.refunded_on IS NULL OR o.refunded_on > p.today) THEN round(
                o.refund_amount * CASE
                    WHEN o.refund_currency_id = p.currency THEN 1 ELSE t.rate / o.refund_rate
                END,
                p.minor_units
            )
        END AS refund
    FROM billing_order AS o
    INNER JOIN partner AS p ON p.id = o.partner_id
    LEFT JOIN day_rate AS t ON t.currency = p.currency AND t.on_day = (o.sold_at AT TIME ZONE p.zone)::date
    WHERE
        o.sold_at <= %(as_of)s
        AND (
            o.paid_on IS NULL OR o.paid_on > p.today
            OR (o.refund_amount > 0 AND (o.refunded_on IS NULL OR o.refunded_on > p.today))
        )
)

SELECT
    a.partner_id,
    sum(a.owed) FILTER (WHERE a.pending_on > a.today) AS pending,
    sum(a.owed) FILTER (WHERE a.pending_on <= a.today AND a.due_on = a.today) AS today,
    sum(a.owed) FILTER (WHERE a.pending_on <= a.today AND a.due_on = a.today + 1) AS tomorrow,
    sum(a.owed) FILTER (WHERE a.pending_on <= a.today AND a.due_on > a.today + 1) AS later,
    sum(a.owed) FILTER (WHERE a.due_on < a.today AND a.today - a.due_on <= 30) AS overdue_30,
    sum(a.owed) FILTER (WHERE a.today - a.due_on BETWEEN 31 AND 60) AS overdue_60,
    sum(a.owed) FILTER (WHERE a.today - a.due_on BETWEEN 61 AND 90) AS overdue_90,
    sum(a.owed) FILTER (WHERE a.today - a.due_on > 90) AS overdue_more,
    sum(a.owed) AS used,
    sum(a.refund) AS refunds
FROM amount AS a
GROUP BY a.partner_id
ORDER BY a.partner_id
