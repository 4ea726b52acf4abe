-- The list values that the services and plans of a run's subscriptions may have at an instant.
-- params: as_of
-- returns: service_id, plan_id, list_values, effective, follows, scopes
SELECT
    v.service_id, v.plan_id, v.list_values, v.effective, v.follows, v.scopes
FROM (
    SELECT
        (SELECT array_agg(DISTINCT p.service_id) FROM pg_temp.billing_pair AS p) AS service_ids,
        (SELECT array_agg(DISTINCT p.plan_id) FROM pg_temp.billing_pair AS p) AS plan_ids
) AS a
CROSS JOIN LATERAL billing_list_values(
    %(as_of)s::timestamptz, coalesce(a.service_ids, '{{}}'), coalesce(a.plan_ids, '{{}}')
) AS v
