-- The pairs of service and plan among the subscriptions that a run looks at.
-- returns: service_id, plan_id
SELECT DISTINCT s.service_id, s.plan_id
FROM pg_temp.billing_repriced AS s
WHERE s.plan_id IS NOT NULL
