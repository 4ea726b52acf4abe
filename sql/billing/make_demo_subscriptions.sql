-- Make the demo's subscriptions, spread evenly over services and clients. The insert itself prices them.
-- Three hashes of the number, one for each group of columns, stand in for chance: the same rows on every machine.
-- Each 997th is pinned for another 90 days, each 1499th was pinned until 30 days ago.
-- params: subscriptions, as_of
-- returns: made
WITH client AS (
    SELECT array_agg(c.id ORDER BY c.id) AS ids, count(*) AS clients FROM billing_client AS c
),

service AS (
    SELECT array_agg(s.id ORDER BY s.id) AS ids, count(*) AS services FROM billing_service AS s
),

plan AS (
    SELECT array_agg(p.id ORDER BY p.id) AS ids, count(*) AS plans FROM billing_plan AS p
),

hashed AS (
    SELECT
        n,
        n * 2654435761 %% 4294967296 AS h1,
        n * 2246822519 %% 4294967291 AS h2,
        n * 3266489917 %% 4294967279 AS h3
    FROM generate_series(1, %(subscriptions)s::bigint) AS n
),

made AS (
    INSERT INTO billing_subscription (
        client_id, service_id, plan_id, quantity, billing_period, started_at, renews_at, comment, pinned_until
    )
    SELECT
        c.ids[1 + h.h2 * c.clients / 4294967291],
        s.ids[1 + h.h1 * s.services / 4294967296],
        p.ids[1 + h.h3 * p.plans / 4294967279],
        CASE WHEN h.h2 %% 10 < 7 THEN 1 + h.h2 %% 7 WHEN h.h2 %% 10 < 9 THEN 1 + h.h2 %% 40 ELSE 1 + h.h2 %% 400 END,
        (ARRAY[1, 1, 1, 3, 12])[1 + h.h3 %% 5],
        -- Up to three years ago and up to a billing period from now, to the minute.
        %(as_of)s::timestamptz - make_interval(mins => (1 + h.h1 %% 1576800)::integer),
        %(as_of)s::timestamptz
        + make_interval(mins => (h.h2 %% 40320 * (ARRAY[1, 1, 1, 3, 12])[1 + h.h3 %% 5])::integer),
        CASE WHEN h.h1 %% 50 = 0 THEN 'Asks for the invoice in ' || (ARRAY['March', 'June', 'May'])[1 + h.n %% 3]
            ELSE '' END,
        CASE
            WHEN h.n %% 997 = 0 THEN %(as_of)s::timestamptz + interval '2160 hours'
            WHEN h.n %% 1499 = 0 THEN %(as_of)s::timestamptz - interval '720 hours'
        END
    FROM hashed AS h
    CROSS JOIN client AS c
    CROSS JOIN service AS s
    CROSS JOIN plan AS p
    ORDER BY h.n
    RETURNING id
)

SELECT count(*) AS made FROM made
