-- Let the planner know tables that were just filled, without waiting for autovacuum.
ANALYZE
billing_client, billing_service, billing_plan, billing_promotion, billing_quantitytier, billing_subscription,
billing_fxrate, billing_partner, billing_order, billing_upload
