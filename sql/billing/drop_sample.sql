-- Forget a staged sample: a transaction around the load may hold another one.
DROP TABLE
pg_temp.billing_sample_line, pg_temp.billing_sample_order, pg_temp.billing_sample_client,
pg_temp.billing_sample_service, pg_temp.billing_sample_pair
