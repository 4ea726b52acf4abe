-- How many of the sample's lines had which outcome.
-- returns: outcome, total
SELECT o.outcome, count(*) AS total
FROM pg_temp.billing_sample_order AS o
GROUP BY o.outcome
ORDER BY o.outcome
