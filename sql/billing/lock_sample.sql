-- Let one load of a sample wait for another: clients have no unique name that would keep two apart.
-- Held until the transaction ends, so it works behind a transaction pooler as well.
SELECT pg_advisory_xact_lock(hashtext('billing.load_sample'))
