-- Let the planner know the staged sample: autovacuum never looks at temporary tables.
ANALYZE
pg_temp.billing_sample_order, pg_temp.billing_sample_client, pg_temp.billing_sample_service,
pg_temp.billing_sample_pair
