-- How many rows of each kind the sample's lines stand for, those that were there before included.
-- returns: kind, total
SELECT 'clients' AS kind, count(*) AS total FROM pg_temp.billing_sample_client
UNION ALL
SELECT 'services' AS kind, count(*) AS total FROM pg_temp.billing_sample_service
UNION ALL
SELECT 'plans' AS kind, count(DISTINCT c.plan_name) AS total FROM pg_temp.billing_sample_client AS c
UNION ALL
SELECT 'subscriptions' AS kind, count(*) AS total FROM pg_temp.billing_sample_pair
UNION ALL
SELECT 'promotions' AS kind, count(*) AS total
FROM billing_promotion AS p
WHERE p.name IN ('Christmas 2010', 'Best sellers', 'Ten pence off for trade', 'Key account bonus')
UNION ALL
SELECT 'tiers' AS kind, count(*) AS total
FROM billing_quantitytier AS t
INNER JOIN billing_service AS v ON v.id = t.service_id
INNER JOIN pg_temp.billing_sample_service AS s ON s.stock_code = split_part(v.name, ' ', 1)
