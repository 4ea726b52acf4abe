-- Make the demo's subscriptions, spread evenly over services and clients. The insert itself prices them.
-- Three hashes of the number, one for each group of columns, stand in for chance: the same rows on every machine.
-- Each 997th is pinned for another 90 days, each 1499th was pinned until 30 days ago.
-- params: subscriptions, as_of
-- returns: made
WITH client AS (
    SELECT array_agg(c.id ORDER BY c.id) AS ids, count(*) AS total FROM billing_client AS c
),

service AS (
    SELECT array_agg(s.id ORDER BY s.id) AS ids, count(*) AS total FROM billing_service AS s
),

plan AS (
    SELECT array_agg(p.id ORDER BY p.id) AS ids, count(*) AS total FROM billing_plan AS p
),

hashed AS (
    SELECT
        n.n,
        mod(n.n * 2654435761, 4294967296) AS h1,
        mod(n.n * 2246822519, 4294967291) AS h2,
        mod(n.n * 3266489917, 4294967279) AS h3
    FROM generate_series(1, %(subscriptions)s::bigint) AS n (n)
),

drawn AS (
    SELECT
        h.n, h.h1, h.h2, h.h3,
        (ARRAY[1, 1, 1, 3, 12])[1 + mod(h.h3, 5)] AS billing_period
    FROM hashed AS h
),

made AS (
    INSERT INTO billing_subscription (
        client_id, service_id, plan_id, quantity, billing_period, started_at, renews_at, comment, pinned_until
    )
    SELECT
        c.ids[1 + d.h2 * c.total / 4294967291] AS client_id,
        s.ids[1 + d.h1 * s.total / 4294967296] AS service_id,
        p.ids[1 + d.h3 * p.total / 4294967279] AS plan_id,
        CASE
            WHEN mod(d.h2, 10) < 7 THEN 1 + mod(d.h2, 7)
            WHEN mod(d.h2, 10) < 9 THEN 1 + mod(d.h2, 40)
            ELSE 1 + mod(d.h2, 400)
        END AS quantity,
        d.billing_period,
        -- Up to three years ago, and up to a billing period of 28-day months from now, to the minute.
        %(as_of)s::timestamptz - make_interval(mins => (1 + mod(d.h1, 1576800))::integer) AS started_at,
        %(as_of)s::timestamptz
        + make_interval(mins => (mod(d.h2, 40320) * d.billing_period)::integer) AS renews_at,
        CASE WHEN mod(d.h1, 50) = 0 THEN 'Asks for a paper invoice' ELSE '' END AS remark,
        CASE
            WHEN mod(d.n, 997) = 0 THEN %(as_of)s::timestamptz + interval '2160 hours'
            WHEN mod(d.n, 1499) = 0 THEN %(as_of)s::timestamptz - interval '720 hours'
        END AS pinned_until
    FROM drawn AS d
    CROSS JOIN client AS c
    CROSS JOIN service AS s
    CROSS JOIN plan AS p
    ORDER BY d.n
    RETURNING id
)

SELECT count(*) AS made FROM made
