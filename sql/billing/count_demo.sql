-- How many rows there are of what the demo makes, and how many clients are not the demo's.
-- returns: clients, services, plans, promotions, tiers, subscriptions, foreign_clients
SELECT
    (SELECT count(*) FROM billing_client) AS clients,
    (SELECT count(*) FROM billing_service) AS services,
    (SELECT count(*) FROM billing_plan) AS plans,
    (SELECT count(*) FROM billing_promotion) AS promotions,
    (SELECT count(*) FROM billing_quantitytier) AS tiers,
    (SELECT count(*) FROM billing_subscription) AS subscriptions,
    (SELECT count(*) FROM billing_client AS c WHERE c.email NOT LIKE '%%@demo.example') AS foreign_clients
