-- Name the first lines of the sample that were skipped for each reason.
-- params: samples
-- returns: outcome, line_number, stock_code, detail
SELECT s.outcome, s.line_number, s.stock_code, s.detail
FROM (
    SELECT
        o.outcome, o.line_number, o.stock_code, o.detail,
        row_number() OVER (PARTITION BY o.outcome ORDER BY o.line_number) AS ordinal
    FROM pg_temp.billing_sample_order AS o
    WHERE o.outcome <> 'used'
) AS s
WHERE s.ordinal <= %(samples)s::integer
ORDER BY s.outcome, s.line_number
