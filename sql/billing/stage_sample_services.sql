-- The stock codes of the lines used, each with its usual description and its usual price.
-- Usual is what most lines say; of two as frequent the price invoiced last and the description first in order.
-- best_selling counts from 1 by units sold; is_new says that no service begins with the code yet.
CREATE TEMPORARY TABLE billing_sample_service ON COMMIT DROP AS
WITH price AS (
    SELECT DISTINCT ON (p.stock_code) p.stock_code, p.price
    FROM (
        SELECT o.stock_code, round(o.price, 4) AS price, count(*) AS seen, max(o.ordered_at) AS last_at
        FROM pg_temp.billing_sample_order AS o
        WHERE o.outcome = 'used'
        GROUP BY o.stock_code, round(o.price, 4)
    ) AS p
    ORDER BY p.stock_code ASC, p.seen DESC, p.last_at DESC, p.price DESC
),

description AS (
    SELECT DISTINCT ON (d.stock_code) d.stock_code, d.description
    FROM (
        SELECT o.stock_code, o.description, count(*) AS seen
        FROM pg_temp.billing_sample_order AS o
        WHERE o.outcome = 'used' AND o.description IS NOT NULL
        GROUP BY o.stock_code, o.description
    ) AS d
    ORDER BY d.stock_code ASC, d.seen DESC, convert_to(d.description, 'UTF8') ASC
),

sold AS (
    SELECT o.stock_code, sum(o.quantity) AS units
    FROM pg_temp.billing_sample_order AS o
    WHERE o.outcome = 'used'
    GROUP BY o.stock_code
)

SELECT
    s.stock_code, s.units, p.price,
    left(concat_ws(' ', s.stock_code, d.description), 200) AS title,
    row_number() OVER (ORDER BY s.units DESC, convert_to(s.stock_code, 'UTF8') ASC) AS best_selling,
    NOT EXISTS (SELECT 1 FROM billing_service AS v WHERE split_part(v.name, ' ', 1) = s.stock_code) AS is_new
FROM sold AS s
INNER JOIN price AS p ON p.stock_code = s.stock_code
LEFT JOIN description AS d ON d.stock_code = s.stock_code
