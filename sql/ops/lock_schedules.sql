-- Let one process at a time write the schedules; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtext('ops.schedules'))
