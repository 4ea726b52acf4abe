-- What a raise of list prices by a percentage would make of each of the best-selling services.
-- Best-selling is by the sum of subscribed quantities: turnover of several currencies can't be added up.
-- The old value is the one in force just before the instant; the new one is rounded, half away from zero, to the
-- currency's minor unit, or to four decimals where the old one was finer already. reason says why a service is left
-- out; a service that has a change at that very instant is, so that the same raise is never made twice.
-- params: percent, best_selling, since
CREATE TEMPORARY TABLE billing_raise ON COMMIT DROP AS
WITH sold AS (
    SELECT s.service_id, sum(s.quantity) AS units
    FROM billing_subscription AS s
    GROUP BY s.service_id
),

ranked AS (
    SELECT
        v.id, v.name, v.full_price, v.currency_id, coalesce(s.units, 0) AS units,
        row_number() OVER (ORDER BY coalesce(s.units, 0) DESC, v.id ASC) AS best_selling
    FROM billing_service AS v
    LEFT JOIN sold AS s ON s.service_id = v.id
),

priced AS (
    SELECT
        r.id, r.name, r.currency_id, r.units, r.best_selling, y.minor_units,
        CASE WHEN b.id IS NOT NULL THEN b.new_value WHEN f.id IS NOT NULL THEN f.old_value ELSE r.full_price END
            AS old_value,
        x.id IS NOT NULL AS has_change,
        (
            SELECT min(c.effective_at) FROM billing_pricechange AS c
            WHERE c.service_id = r.id AND c.effective_at > %(since)s::timestamptz
        ) AS next_at
    FROM ranked AS r
    LEFT JOIN billing_currency AS y ON y.code = r.currency_id
    LEFT JOIN billing_pricechange AS x ON x.service_id = r.id AND x.effective_at = %(since)s::timestamptz
    LEFT JOIN LATERAL (
        SELECT c.id, c.new_value
        FROM billing_pricechange AS c
        WHERE c.service_id = r.id AND c.effective_at < %(since)s::timestamptz
        ORDER BY c.effective_at DESC
        LIMIT 1
    ) AS b ON TRUE
    LEFT JOIN LATERAL (
        SELECT c.id, c.old_value
        FROM billing_pricechange AS c
        WHERE c.service_id = r.id
        ORDER BY c.effective_at ASC
        LIMIT 1
    ) AS f ON TRUE
    WHERE %(best_selling)s::bigint IS NULL OR r.best_selling <= %(best_selling)s::bigint
),

raised AS (
    SELECT
        p.id, p.name, p.currency_id, p.units, p.best_selling, p.minor_units, p.old_value, p.has_change, p.next_at,
        round(
            p.old_value * (100 + %(percent)s::numeric) * 0.01,
            CASE WHEN p.old_value = round(p.old_value, p.minor_units) THEN p.minor_units ELSE 4 END
        ) AS new_value
    FROM priced AS p
)

SELECT
    r.id AS service_id, r.name, r.currency_id, r.units, r.best_selling, r.old_value, r.new_value, r.next_at,
    CASE
        WHEN r.has_change THEN 'has a price change at that instant'
        WHEN r.old_value IS NULL THEN 'has no price'
        WHEN r.minor_units IS NULL THEN 'has no currency'
        WHEN r.new_value = r.old_value THEN 'would not change, being rounded'
    END AS reason
FROM raised AS r
