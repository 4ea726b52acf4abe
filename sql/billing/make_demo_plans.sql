-- Make the demo's plans: six by name, then as many more as are wanted.
-- params: plans
-- returns: made
WITH named AS (
    SELECT
        ARRAY['Standard', 'Student', 'Team', 'Business', 'Enterprise', 'Partner'] AS labels,
        ARRAY[0, 30, 5, 10, 15, 20] AS percents
),

made AS (
    INSERT INTO billing_plan (name, plan_type, discount_percent)
    SELECT
        coalesce(a.labels[n.n], 'Contract ' || n.n) AS full_name,
        CASE n.n WHEN 1 THEN 'full' WHEN 2 THEN 'student' ELSE 'discount' END AS plan_type,
        coalesce(a.percents[n.n], 1 + mod(n.n * 7, 40) * 0.5) AS discount_percent
    FROM generate_series(1, %(plans)s::integer) AS n (n)
    CROSS JOIN named AS a
    ORDER BY n.n
    RETURNING id
)

SELECT count(*) AS made FROM made
