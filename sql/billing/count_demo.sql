-- How many rows there are of what the demo makes, and how many clients are not the demo's.
-- returns: kind, total
SELECT 'clients' AS kind, count(*) AS total FROM billing_client
UNION ALL
SELECT 'services' AS kind, count(*) AS total FROM billing_service
UNION ALL
SELECT 'plans' AS kind, count(*) AS total FROM billing_plan
UNION ALL
SELECT 'promotions' AS kind, count(*) AS total FROM billing_promotion
UNION ALL
SELECT 'tiers' AS kind, count(*) AS total FROM billing_quantitytier
UNION ALL
SELECT 'subscriptions' AS kind, count(*) AS total FROM billing_subscription
UNION ALL
SELECT 'rates' AS kind, count(*) AS total FROM billing_fxrate
UNION ALL
SELECT 'partners' AS kind, count(*) AS total FROM billing_partner
UNION ALL
SELECT 'orders' AS kind, count(*) AS total FROM billing_order
UNION ALL
SELECT 'uploads' AS kind, count(*) AS total FROM billing_upload
UNION ALL
SELECT 'foreign_clients' AS kind, count(*) AS total
FROM billing_client AS c
WHERE c.email NOT LIKE '%%@demo.example'
