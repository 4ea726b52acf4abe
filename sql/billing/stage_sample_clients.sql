-- The customers of the lines used, each with the plan that the turnover of the file puts it on.
CREATE TEMPORARY TABLE billing_sample_client ON COMMIT DROP AS
SELECT
    o.customer,
    'Customer ' || o.customer AS title,
    sum(o.quantity * o.price) AS turnover,
    'Online Retail ' || CASE
        WHEN sum(o.quantity * o.price) >= 10000 THEN 'key account'
        WHEN sum(o.quantity * o.price) >= 2500 THEN 'wholesale'
        WHEN sum(o.quantity * o.price) >= 500 THEN 'trade'
        WHEN sum(o.quantity * o.price) >= 150 THEN 'full price'
        ELSE 'student'
    END AS plan_name
FROM pg_temp.billing_sample_order AS o
WHERE o.outcome = 'used'
GROUP BY o.customer
