-- Keep other refreshes of a report's rollup waiting until this transaction ends.
-- What is computed next must be computed as of a later moment than this, which only READ COMMITTED allows.
-- params: report
-- returns: digest, isolated
SELECT
    r.digest,
    current_setting('transaction_isolation') AS isolated
FROM ops_rollup AS r
WHERE r.report = %(report)s::text
FOR NO KEY UPDATE
