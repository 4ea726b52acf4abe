-- How many rows of each kind the sample's lines stand for, those that were there before included.
-- returns: clients, services, plans, subscriptions, promotions, tiers
SELECT
    (SELECT count(*) FROM pg_temp.billing_sample_client) AS clients,
    (SELECT count(*) FROM pg_temp.billing_sample_service) AS services,
    (SELECT count(DISTINCT c.plan_name) FROM pg_temp.billing_sample_client AS c) AS plans,
    (SELECT count(*) FROM pg_temp.billing_sample_pair) AS subscriptions,
    (
        SELECT count(*)
        FROM billing_promotion AS p
        WHERE p.name IN ('Christmas 2010', 'Best sellers', 'Ten pence off for trade', 'Key account bonus')
    ) AS promotions,
    (
        SELECT count(*)
        FROM billing_quantitytier AS t
        INNER JOIN billing_service AS v ON v.id = t.service_id
        INNER JOIN pg_temp.billing_sample_service AS s ON s.stock_code = split_part(v.name, ' ', 1)
    ) AS tiers
