-- The partners that orders of hotel bookings need and that are not there, each with the client made for it.
-- A partner's number chooses from the lists: the first digit of it, to the base of the first list's length, is its
-- currency, the next its zone, the next its limit, so that all combinations occur. A direct partner's number is the
-- place of its hotel in the alphabet.
-- params: currencies, zones, limits, credit_currency
-- returns: reference, client, currency, zone, credit_limit, credit_currency
WITH wanted AS (
    SELECT DISTINCT
        b.company,
        CASE WHEN b.company IS NULL THEN b.agent END AS agent,
        CASE WHEN b.company IS NULL AND b.agent IS NULL THEN b.hotel END AS hotel
    FROM billing_hotelbooking AS b
),

named AS (
    SELECT
        CASE
            WHEN w.company IS NOT NULL THEN 'company ' || w.company
            WHEN w.agent IS NOT NULL THEN 'agent ' || w.agent
            ELSE 'direct ' || w.hotel
        END AS reference,
        CASE
            WHEN w.company IS NOT NULL THEN 'Company ' || w.company
            WHEN w.agent IS NOT NULL THEN 'Agent ' || w.agent
            ELSE w.hotel || ', direct guests'
        END AS title,
        abs(coalesce(w.company, w.agent, dense_rank() OVER (ORDER BY w.hotel))) AS digits
    FROM wanted AS w
),

chosen AS (
    SELECT
        n.reference, n.title,
        (%(currencies)s::text[])[1 + mod(n.digits, cardinality(%(currencies)s::text[]))] AS currency,
        (%(zones)s::text[])[
            1 + mod(n.digits / cardinality(%(currencies)s::text[]), cardinality(%(zones)s::text[]))
        ] AS zone, -- noqa: RF04, the column's own name
        (%(limits)s::numeric[])[
            1 + mod(
                n.digits / cardinality(%(currencies)s::text[]) / cardinality(%(zones)s::text[]),
                cardinality(%(limits)s::numeric[])
            )
        ] AS credit_limit
    FROM named AS n
)

SELECT
    c.reference,
    (
        SELECT min(k.id) FROM billing_client AS k
        WHERE k.name = c.title AND NOT EXISTS (SELECT 1 FROM billing_partner AS p WHERE p.client_id = k.id)
    ) AS client,
    c.currency, c.zone, c.credit_limit,
    CASE WHEN c.credit_limit IS NOT NULL THEN %(credit_currency)s::text END AS credit_currency
FROM chosen AS c
WHERE NOT EXISTS (SELECT 1 FROM billing_partner AS p WHERE p.reference = c.reference)
ORDER BY c.reference ASC
