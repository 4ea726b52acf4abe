-- Total what partners owe as of an instant, each in its reporting currency, and all of them by currency.
-- A row for each partner, then one without a partner for each currency. Figures are arrays: 1 refunds, 2 pending,
-- 3 to pay today, 4 tomorrow, 5 later, from 6 on overdue by age; docs/receivables.md says what each means. lacks counts
-- the amounts that a sum lacks because a rate is missing, unknowns the orders whose type and status no rule names;
-- named has the first of both.
-- params: as_of, partners, currency, rates, max_age_of_rate, ages, types, statuses, owes, refunds, most
-- returns: partner_id, name, zone, today, currency, minor_units, partners, amounts, orders, lacks, unknowns, limits,
-- credit_limit, credit_left, credit_over, credit_lacks, named
WITH partner AS NOT MATERIALIZED (
    SELECT
        p.id, c.code AS currency, c.minor_units, p.zone, p.client_id,
        p.credit_limit, p.credit_currency_id AS credit_currency,
        (ARRAY[10, 100, 1000, 10000, 100000]::numeric[])[c.minor_units + 1] AS tenths,
        (ARRAY[0.1, 0.01, 0.001, 0.0001, 0.00001]::numeric[])[c.minor_units + 1] AS tenth,
        (%(as_of)s::timestamptz AT TIME ZONE p.zone)::date AS today
    FROM billing_partner AS p
    INNER JOIN billing_currency AS c
        ON c.code = CASE WHEN %(currency)s::text = '' THEN p.currency_id ELSE %(currency)s::text END
    WHERE %(partners)s::bigint[] IS NULL OR p.id = any(%(partners)s::bigint[])
    -- So that a partner's day is computed once, not for each of its orders; a number for the text keeps workers out.
    OFFSET '0' -- noqa: AM09, it leaves out nothing
),

rule AS NOT MATERIALIZED (
    SELECT r.kind, r.status, r.owes, r.refunds
    FROM unnest(%(types)s::text[], %(statuses)s::text[], %(owes)s::text[], %(refunds)s::boolean[])
        AS r (kind, status, owes, refunds)
),

-- The currencies that are reported in, each with the factor into tenths of its minor unit.
reporting AS (
    SELECT c.code AS currency, (ARRAY[10, 100, 1000, 10000, 100000]::numeric[])[c.minor_units + 1] AS tenths
    FROM billing_currency AS c
    WHERE c.code IN (SELECT p.currency FROM partner AS p)
),

today AS (SELECT DISTINCT p.today AS at_day FROM partner AS p),

-- The pairs of currency and day for which a rate may be wanted: all currencies today, and those that are reported in on
-- each day since the first sale. Fewer than there are orders, and cheaper to make than to find among them.
since AS (
    -- Whatever the zone, a day there is at most one away from UTC's.
    SELECT
        (min(o.sold_at) AT TIME ZONE 'UTC')::date - 1 AS at_day,
        (%(as_of)s::timestamptz AT TIME ZONE 'UTC')::date + 1 AS last_day
    FROM billing_order AS o
    WHERE
        %(rates)s::text = 'sale'
        AND (%(partners)s::bigint[] IS NULL OR o.partner_id = any(%(partners)s::bigint[]))
),

wanted AS (
    SELECT c.code AS currency, t.at_day
    FROM billing_currency AS c
    CROSS JOIN today AS t
    UNION
    SELECT r.currency, d.at_day::date
    FROM reporting AS r
    CROSS JOIN since AS s
    CROSS JOIN LATERAL (SELECT min(f.day) AS at_day FROM billing_fxrate AS f WHERE f.currency = r.currency) AS f
    CROSS JOIN
        generate_series(greatest(s.at_day, f.at_day)::timestamp, s.last_day::timestamp, interval '1 day') AS d (at_day)
    WHERE s.at_day IS NOT NULL
),

rate AS (
    SELECT w.currency, w.at_day, CASE WHEN w.currency = 'EUR' THEN 1 ELSE f.rate END AS rate
    FROM wanted AS w
    LEFT JOIN LATERAL ( -- noqa: ST05, a lateral subquery cannot be a CTE
        SELECT x.rate, x.day
        FROM billing_fxrate AS x
        WHERE x.currency = w.currency AND x.day <= w.at_day
        ORDER BY x.day DESC
        LIMIT 1
    ) AS f ON w.at_day - f.day <= %(max_age_of_rate)s::integer
    WHERE w.currency = 'EUR' OR f.rate IS NOT NULL
),

-- What to multiply by and what to divide by: of every pair of currencies today, and on a day of sale ('') to multiply
-- by only, as an order brings the other with it.
today_exchange AS (
    SELECT t.currency, s.currency AS origin, t.at_day, t.rate * r.tenths AS into_rate, s.rate AS from_rate
    FROM today AS d
    INNER JOIN rate AS t ON t.at_day = d.at_day
    INNER JOIN rate AS s ON s.at_day = d.at_day
    INNER JOIN reporting AS r ON r.currency = t.currency
),

exchange AS (
    SELECT x.currency, x.origin, x.at_day, x.into_rate, x.from_rate
    FROM today_exchange AS x
    WHERE %(rates)s::text = 'as-of'
    UNION ALL
    SELECT t.currency, '' AS origin, t.at_day, t.rate * r.tenths AS into_rate, NULL AS from_rate
    FROM rate AS t
    INNER JOIN reporting AS r ON r.currency = t.currency
    WHERE %(rates)s::text = 'sale'
),

-- In arrays, which are made once and go to every parallel worker; a CTE would keep the joins with orders out of them.
packed AS (
    SELECT
        array_agg(x.currency) AS currencies, array_agg(x.origin) AS sources, array_agg(x.at_day) AS at_days,
        array_agg(x.into_rate) AS into_rates, array_agg(x.from_rate) AS from_rates
    FROM exchange AS x
),

-- Every amount that counts, and to which figure (0: its order is of unknown type or status). Without a day it is in the
-- reporting currency already.
entry AS NOT MATERIALIZED (
    SELECT
        o.id, o.partner_id, p.currency, p.tenths,
        CASE
            WHEN r.kind IS NULL THEN 0
            WHEN o.pending_on > p.today THEN 2
            WHEN o.due_on >= p.today THEN 3 + least(o.due_on - p.today, 2)
            ELSE 6 + width_bucket(p.today - o.due_on - 1, %(ages)s::integer[])
        END AS figure,
        CASE WHEN r.owes = 'penalty' THEN o.penalty_amount ELSE o.sell_amount END AS amount,
        o.sell_currency_id AS origin,
        CASE
            WHEN %(rates)s::text = 'as-of' THEN NULL
            WHEN o.sell_currency_id = 'EUR' THEN 1
            ELSE o.sell_rate
        END AS own_rate,
        CASE
            WHEN o.sell_currency_id = p.currency THEN NULL
            WHEN %(rates)s::text = 'sale' THEN (o.sold_at AT TIME ZONE p.zone)::date
            ELSE p.today
        END AS at_day
    FROM billing_order AS o
    INNER JOIN partner AS p ON p.id = o.partner_id
    LEFT JOIN rule AS r ON r.kind = o.type AND r.status = o.status
    WHERE
        o.sold_at <= %(as_of)s::timestamptz
        AND (o.paid_on IS NULL OR o.paid_on > p.today)
        -- For the index: no day anywhere is more than one before UTC's.
        AND (o.paid_on IS NULL OR o.paid_on >= (%(as_of)s::timestamptz AT TIME ZONE 'UTC')::date)
        AND coalesce(
            CASE WHEN r.owes = 'sell' THEN o.sell_amount WHEN r.owes = 'penalty' THEN o.penalty_amount END > 0,
            r.kind IS NULL
        )
    UNION ALL
    SELECT
        o.id, o.partner_id, p.currency, p.tenths,
        CASE WHEN r.kind IS NULL THEN 0 ELSE 1 END AS figure,
        o.refund_amount AS amount,
        o.refund_currency_id AS origin,
        CASE
            WHEN %(rates)s::text = 'as-of' THEN NULL
            WHEN o.refund_currency_id = 'EUR' THEN 1
            ELSE o.refund_rate
        END AS own_rate,
        CASE
            WHEN o.refund_currency_id = p.currency THEN NULL
            WHEN %(rates)s::text = 'sale' THEN (o.sold_at AT TIME ZONE p.zone)::date
            ELSE p.today
        END AS at_day
    FROM billing_order AS o
    INNER JOIN partner AS p ON p.id = o.partner_id
    LEFT JOIN rule AS r ON r.kind = o.type AND r.status = o.status
    WHERE
        o.sold_at <= %(as_of)s::timestamptz
        AND o.refund_amount > 0
        AND (o.refunded_on IS NULL OR o.refunded_on > p.today)
        AND (o.refunded_on IS NULL OR o.refunded_on >= (%(as_of)s::timestamptz AT TIME ZONE 'UTC')::date)
        -- Where no rule names an order that is not paid, it was counted above.
        AND coalesce(r.refunds, o.paid_on <= p.today)
),

-- In tenths of the minor unit. amount * into / from is cut off behind the first decimal of the minor unit, which alone
-- decides which way it is rounded: half away from zero, what is below a half by any digit stays below it. A quotient
-- that was rounded itself, to however many decimals, may have become a half.
converted AS NOT MATERIALIZED (
    SELECT
        e.id, e.partner_id, e.figure, e.currency, e.origin, e.at_day, e.own_rate,
        e.at_day IS NOT NULL AND (x.into_rate IS NULL OR coalesce(e.own_rate, x.from_rate) IS NULL) AS lacks,
        CASE
            WHEN e.at_day IS NULL THEN round(e.amount * e.tenths, -1)
            ELSE round(div(e.amount * x.into_rate, coalesce(e.own_rate, x.from_rate)), -1)
        END AS units
    FROM entry AS e
    LEFT JOIN
        unnest(
            (SELECT p.currencies FROM packed AS p),
            (SELECT p.sources FROM packed AS p),
            (SELECT p.at_days FROM packed AS p),
            (SELECT p.into_rates FROM packed AS p),
            (SELECT p.from_rates FROM packed AS p)
        ) AS x (currency, origin, at_day, into_rate, from_rate)
        ON
            x.currency = e.currency AND x.at_day = e.at_day
            AND (%(rates)s::text = 'sale' OR x.origin = e.origin)
),

-- By figure, so that of each amount three aggregates are computed, not three for each figure that there is.
part AS (
    SELECT
        c.partner_id, c.figure,
        sum(c.units) AS units, count(*) AS orders, count(*) FILTER (WHERE c.lacks) AS lacks
    FROM converted AS c
    GROUP BY c.partner_id, c.figure
),

-- Read again, but only where something is to be named.
odd AS (
    SELECT
        c.id, c.partner_id, c.figure, c.currency, c.origin, c.at_day, c.own_rate,
        row_number() OVER (PARTITION BY c.partner_id ORDER BY c.id ASC, c.figure ASC) AS place
    FROM converted AS c
    WHERE c.figure = 0 OR c.lacks
),

named AS MATERIALIZED (
    SELECT
        n.partner_id,
        jsonb_agg(
            (
                SELECT jsonb_build_object('order', o.id, 'type', o.type, 'reference', o.reference, 'status', o.status)
                FROM billing_order AS o
                WHERE o.id = n.id
            )
            || jsonb_build_object(
                'figure', n.figure,
                'day', CASE WHEN n.figure > 0 THEN n.at_day END,
                'from', CASE WHEN n.figure > 0 AND coalesce(n.own_rate, s.rate) IS NULL THEN n.origin END,
                'into', CASE WHEN n.figure > 0 AND t.rate IS NULL THEN n.currency END
            )
            ORDER BY n.place
        ) AS named
    FROM odd AS n
    LEFT JOIN rate AS t ON t.currency = n.currency AND t.at_day = n.at_day
    LEFT JOIN rate AS s ON s.currency = n.origin AND s.at_day = n.at_day AND %(rates)s::text = 'as-of'
    WHERE n.place <= %(most)s::integer AND (SELECT bool_or(p.figure = 0 OR p.lacks > 0) FROM part AS p)
    GROUP BY n.partner_id
),

figure AS (
    SELECT
        p.id AS partner_id, p.currency, n.number,
        sum(coalesce(s.units, 0) * p.tenth) AS amount,
        sum(coalesce(s.orders, 0)) AS orders,
        sum(coalesce(s.lacks, 0)) AS lacks
    FROM partner AS p
    CROSS JOIN generate_series(1, 6 + cardinality(%(ages)s::integer[])) AS n (number)
    LEFT JOIN part AS s ON s.partner_id = p.id AND s.figure = n.number
    GROUP BY GROUPING SETS ((p.currency, n.number, p.id), (p.currency, n.number))
),

account AS (
    SELECT
        f.partner_id, f.currency,
        array_agg(f.amount ORDER BY f.number) AS amounts,
        array_agg(f.orders ORDER BY f.number) AS orders,
        array_agg(f.lacks ORDER BY f.number) AS lacks,
        sum(f.amount) FILTER (WHERE f.number > 1) AS used
    FROM figure AS f
    GROUP BY f.partner_id, f.currency
),

credit AS (
    SELECT
        p.id AS partner_id,
        p.credit_limit > 0 AND p.credit_currency <> p.currency AND x.into_rate IS NULL AS lacks,
        CASE
            WHEN p.credit_limit = 0 THEN 0
            WHEN p.credit_currency = p.currency THEN round(p.credit_limit * p.tenths, -1)
            ELSE round(div(p.credit_limit * x.into_rate, x.from_rate), -1)
        END * p.tenth AS credit_limit
    FROM partner AS p
    LEFT JOIN today_exchange AS x ON x.currency = p.currency AND x.origin = p.credit_currency AND x.at_day = p.today
),

owing AS MATERIALIZED (
    SELECT
        p.id AS partner_id, p.currency,
        count(*) AS partners,
        count(*) FILTER (WHERE p.credit_limit IS NOT NULL) AS limits,
        count(*) FILTER (WHERE c.lacks) AS credit_lacks,
        sum(c.credit_limit) AS credit_limit,
        sum(greatest(c.credit_limit - a.used, 0)) FILTER (WHERE c.credit_limit IS NOT NULL) AS credit_left,
        sum(greatest(a.used - c.credit_limit, 0)) FILTER (WHERE c.credit_limit IS NOT NULL) AS credit_over,
        sum(coalesce(s.orders, 0)) AS unknowns
    FROM partner AS p
    INNER JOIN account AS a ON a.partner_id = p.id
    INNER JOIN credit AS c ON c.partner_id = p.id
    LEFT JOIN part AS s ON s.partner_id = p.id AND s.figure = 0
    GROUP BY GROUPING SETS ((p.currency, p.id), (p.currency))
)

SELECT
    a.partner_id, k.name, p.zone, p.today, a.currency, m.minor_units, o.partners, a.amounts, a.orders, a.lacks,
    o.unknowns, o.limits, o.credit_limit, o.credit_left, o.credit_over, o.credit_lacks, n.named
FROM account AS a
INNER JOIN owing AS o ON o.currency = a.currency AND coalesce(o.partner_id, 0) = coalesce(a.partner_id, 0)
INNER JOIN billing_currency AS m ON m.code = a.currency
LEFT JOIN partner AS p ON p.id = a.partner_id
LEFT JOIN billing_client AS k ON k.id = p.client_id
LEFT JOIN named AS n ON n.partner_id = a.partner_id
ORDER BY a.partner_id ASC NULLS LAST, a.currency ASC
