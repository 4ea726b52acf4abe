-- Define billing_passed_instants: what instants in the half-open (since, upto] touch by themselves.
-- A promotion begins or ends, a price change takes effect or a renewal adopts one, a pin runs out.
CREATE OR REPLACE FUNCTION billing_passed_instants(
    since timestamptz, upto timestamptz
) RETURNS TABLE (service_id bigint, plan_id bigint, subscription_ids bigint[], reason text)
LANGUAGE sql STABLE
AS $body$
    SELECT p.service_id, p.plan_id, NULL::bigint [], 'promotion begins or ends'
    FROM billing_promotion AS p
    WHERE (p.starts_at > since AND p.starts_at <= upto) OR (p.ends_at > since AND p.ends_at <= upto)
    UNION ALL
    SELECT c.service_id, c.plan_id, NULL, 'price change takes effect'
    FROM billing_pricechange AS c
    WHERE c.effective_at > since AND c.effective_at <= upto
    UNION ALL
    SELECT NULL, NULL, array_agg(s.id), 'pin runs out'
    FROM billing_subscription AS s
    WHERE s.pinned_until > since AND s.pinned_until <= upto
    HAVING count(*) > 0
    UNION ALL
    SELECT NULL, NULL, array_agg(DISTINCT s.id), 'renewal'
    FROM billing_pricechange AS c
    CROSS JOIN billing_catalogue AS k
    INNER JOIN billing_subscription AS s ON s.service_id = c.service_id OR s.plan_id = c.plan_id
    WHERE
        c.follow = 'renewal' AND c.effective_at <= upto AND s.started_at < c.effective_at
        -- A first renewal lies at most one period after the change. The days cover the zone's offset and short months:
        -- after 28 February the renewals of a 31st go on on 31 March.
        AND c.effective_at + make_interval(months => s.billing_period, days => 5) > since
        AND billing_next_renewal(s.renews_at, s.billing_period, c.effective_at, k.zone) > since
        AND billing_next_renewal(s.renews_at, s.billing_period, c.effective_at, k.zone) <= upto
    HAVING count(*) > 0
$body$
