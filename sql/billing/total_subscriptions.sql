-- Total the subscriptions that a list shows, by currency: price times quantity, rounded row by row to the minor unit of
-- the currency (half away from zero), then summed. A row without a price or a currency is counted as unpriced.
-- params: client, plan, service, currency
-- returns: currency, amount, subscriptions, unpriced
SELECT
    sv.currency_id AS currency,
    sum(round(s.price * s.quantity, c.minor_units)) AS amount,
    count(*) AS subscriptions,
    count(*) FILTER (WHERE s.price IS NULL OR sv.currency_id IS NULL) AS unpriced
FROM billing_subscription AS s
INNER JOIN billing_service AS sv ON s.service_id = sv.id
LEFT JOIN billing_currency AS c ON sv.currency_id = c.code
WHERE
    (%(client)s::bigint IS NULL OR s.client_id = %(client)s::bigint)
    AND (%(plan)s::bigint IS NULL OR s.plan_id = %(plan)s::bigint)
    AND (%(service)s::bigint IS NULL OR s.service_id = %(service)s::bigint)
    AND (%(currency)s::text IS NULL OR sv.currency_id = %(currency)s::text)
GROUP BY sv.currency_id
ORDER BY sv.currency_id ASC NULLS LAST
