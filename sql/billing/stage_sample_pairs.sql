-- What each customer orders: stock code, the usual quantity (the lower median of its lines), first and last order,
-- and how often it is billed: monthly if ordered in six or more months, quarterly in two or more, else yearly.
CREATE TEMPORARY TABLE billing_sample_pair ON COMMIT DROP AS
SELECT
    o.customer, o.stock_code,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY o.quantity) AS quantity,
    min(o.ordered_at) AS first_at,
    max(o.ordered_at) AS last_at,
    CASE
        WHEN count(DISTINCT date_trunc('month', o.ordered_at, 'Europe/London')) >= 6 THEN 1
        WHEN count(DISTINCT date_trunc('month', o.ordered_at, 'Europe/London')) >= 2 THEN 3
        ELSE 12
    END AS billing_period
FROM pg_temp.billing_sample_order AS o
WHERE o.outcome = 'used'
GROUP BY o.customer, o.stock_code
