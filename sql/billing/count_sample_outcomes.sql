-- How many of the sample's lines had which outcome.
-- returns: outcome, lines
SELECT o.outcome, count(*) AS lines
FROM pg_temp.billing_sample_order AS o
GROUP BY o.outcome
ORDER BY o.outcome
