-- Forget a staged raise: a transaction around it may plan and write it.
DROP TABLE pg_temp.billing_raise
