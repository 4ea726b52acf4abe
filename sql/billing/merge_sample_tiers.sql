-- Give the sample's two hundred best-selling services quantity tiers, where the services are new.
-- returns: added
WITH added AS (
    INSERT INTO billing_quantitytier (service_id, minimum_quantity, percent)
    SELECT v.id, t.minimum_quantity, t.percent
    FROM pg_temp.billing_sample_service AS s
    INNER JOIN billing_service AS v ON v.name = s.title
    CROSS JOIN (VALUES (12, 3::numeric), (48, 7.5), (144, 12)) AS t (minimum_quantity, percent)
    WHERE s.is_new AND s.best_selling <= 200
    ORDER BY v.id, t.minimum_quantity
    ON CONFLICT (service_id, minimum_quantity) DO NOTHING
    RETURNING id
)

SELECT count(*) AS added FROM added
