-- The price list of a run's pairs of service and plan at an instant.
-- params: as_of
-- returns: service_id, plan_id, currency_id, followed, plan_versions, minimums, prices, refused
SELECT
    l.service_id, l.plan_id, l.currency_id, l.followed, l.plan_versions, l.minimums, l.prices, l.refused
FROM (
    SELECT
        array_agg(p.service_id ORDER BY p.service_id, p.plan_id) AS service_ids,
        array_agg(p.plan_id ORDER BY p.service_id, p.plan_id) AS plan_ids
    FROM pg_temp.billing_pair AS p
) AS a
CROSS JOIN LATERAL billing_price_list(%(as_of)s::timestamptz, a.service_ids, a.plan_ids) AS l
