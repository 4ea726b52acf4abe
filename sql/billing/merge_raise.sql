-- Declare the staged raise as price changes. What they touch is marked, and those in force take effect, by triggers.
-- params: since, follow
-- returns: written
WITH written AS (
    INSERT INTO billing_pricechange (service_id, new_value, effective_at, follow)
    SELECT r.service_id, r.new_value, %(since)s::timestamptz, %(follow)s::text
    FROM pg_temp.billing_raise AS r
    WHERE r.reason IS NULL
    ORDER BY r.service_id
    ON CONFLICT (service_id, effective_at) DO NOTHING
    RETURNING id
)

SELECT count(*) AS written FROM written
