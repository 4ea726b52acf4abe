-- Make the demo's uploads, spread over the 400 days up to the first twenty minutes of today, when nightly exports come
-- in: the nearer to today, the more of them. Each ninth is of no client.
-- params: uploads, as_of
-- returns: made
WITH client AS (
    SELECT array_agg(c.id ORDER BY c.id) AS ids, count(*) AS total FROM billing_client AS c
),

hashed AS (
    SELECT
        n.n,
        mod(n.n * 2654435761, 4294967296) AS h1,
        mod(n.n * 2246822519, 4294967291) AS h2
    FROM generate_series(1, %(uploads)s::bigint) AS n (n)
),

made AS (
    INSERT INTO billing_upload (client_id, name, size, uploaded_at)
    SELECT
        CASE WHEN mod(h.n, 9) > 0 THEN c.ids[1 + h.h2 * c.total / 4294967291] END AS client_id,
        (ARRAY['invoices', 'contract', 'usage', 'photo', 'bookings'])[1 + mod(h.h2, 5)]
        || '-' || h.n
        || (ARRAY['.csv', '.pdf', '.csv.gz', '.jpg', '.csv'])[1 + mod(h.h2, 5)] AS title,
        -- From a kilobyte to 33 megabytes, most of them small.
        1024 + mod(h.h1, 1024) + mod(h.h2 * 31, (1024::bigint << mod(h.h1 / 1024, 15)::integer)) AS size,
        -- 400 days and 20 minutes have 34,561,200 seconds.
        %(as_of)s::timestamptz + interval '20 minutes'
        - ceil(34561200::numeric * h.h1 * h.h1 / 18446744073709551616) * interval '1 second' AS uploaded_at
    FROM hashed AS h
    CROSS JOIN client AS c
    ORDER BY h.n
    RETURNING id
)

SELECT count(*) AS made FROM made
