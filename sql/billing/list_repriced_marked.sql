-- The marked subscriptions (see list_marked.sql), as list_repriced.sql gives all.
-- params: services, plans, clients
-- returns: version, id, service_id, plan_id, quantity, price, billing_period, started_at, renews_at, pinned_until
SELECT
    s.xmin AS version, s.id, s.service_id, s.plan_id, s.quantity, s.price, s.billing_period, s.started_at,
    s.renews_at, s.pinned_until
FROM pg_temp.billing_marked AS m
INNER JOIN billing_subscription AS s ON s.id = m.id
WHERE
    (%(services)s::bigint[] IS NULL OR s.service_id = ANY(%(services)s::bigint[]))
    AND (%(plans)s::bigint[] IS NULL OR s.plan_id = ANY(%(plans)s::bigint[]))
    AND (%(clients)s::bigint[] IS NULL OR s.client_id = ANY(%(clients)s::bigint[]))
