-- Make the demo's plans: six by name, then as many more as are wanted.
-- params: plans
-- returns: made
WITH made AS (
    INSERT INTO billing_plan (name, plan_type, discount_percent)
    SELECT
        coalesce((ARRAY['Standard', 'Student', 'Team', 'Business', 'Enterprise', 'Partner'])[n], 'Contract ' || n),
        CASE n WHEN 1 THEN 'full' WHEN 2 THEN 'student' ELSE 'discount' END,
        coalesce((ARRAY[0, 30, 5, 10, 15, 20])[n], 1 + n * 7 %% 40 * 0.5)
    FROM generate_series(1, %(plans)s::integer) AS n
    ORDER BY n
    RETURNING id
)

SELECT count(*) AS made FROM made
