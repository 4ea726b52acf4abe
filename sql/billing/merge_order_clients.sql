-- Add the clients of those partners that orders of hotel bookings need and that are not there: one for each company
-- that pays, else agent that booked, else hotel, for guests who came by themselves.
-- A client of that name that is no partner yet (a load was taken back, say) is used instead.
-- returns: made
WITH wanted AS (
    SELECT
        CASE
            WHEN b.company IS NOT NULL THEN 'company ' || b.company
            WHEN b.agent IS NOT NULL THEN 'agent ' || b.agent
            ELSE 'direct ' || b.hotel
        END AS reference,
        CASE
            WHEN b.company IS NOT NULL THEN 'Company ' || b.company
            WHEN b.agent IS NOT NULL THEN 'Agent ' || b.agent
            ELSE b.hotel || ', direct guests'
        END AS title
    FROM billing_hotelbooking AS b
    GROUP BY reference, title
),

made AS (
    INSERT INTO billing_client (name)
    SELECT w.title
    FROM wanted AS w
    WHERE
        NOT EXISTS (SELECT 1 FROM billing_partner AS p WHERE p.reference = w.reference)
        AND NOT EXISTS (
            SELECT 1 FROM billing_client AS c
            WHERE c.name = w.title AND NOT EXISTS (SELECT 1 FROM billing_partner AS p WHERE p.client_id = c.id)
        )
    ORDER BY w.title
    RETURNING id
)

SELECT count(*) AS made FROM made
