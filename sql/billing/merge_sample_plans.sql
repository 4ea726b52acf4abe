-- Add the plans that the sample's customers are on; a plan that is there stays as it is.
-- returns: added
WITH added AS (
    INSERT INTO billing_plan (name, plan_type, discount_percent)
    SELECT p.name, p.plan_type, p.percent
    FROM (
        VALUES
        ('Online Retail full price', 'full', 0::numeric),
        ('Online Retail key account', 'discount', 15),
        ('Online Retail student', 'student', 20),
        ('Online Retail trade', 'discount', 5),
        ('Online Retail wholesale', 'discount', 10)
    ) AS p (name, plan_type, percent)
    WHERE EXISTS (SELECT 1 FROM pg_temp.billing_sample_client AS c WHERE c.plan_name = p.name)
    ORDER BY p.name
    ON CONFLICT (name) DO NOTHING
    RETURNING id
)

SELECT count(*) AS added FROM added
