-- Read the staged lines as what they say: one row a line with exactly one outcome.
-- A line counts under the first that applies: malformed, cancelled, not_goods, customerless, no_quantity,
-- priceless, used. Stock codes are folded to upper case without blanks around them; invoices are dated in
-- London's time. Dates are checked by arithmetic: pg_input_is_valid() came with PostgreSQL 16.
CREATE TEMPORARY TABLE billing_sample_order ON COMMIT DROP AS
WITH cleaned AS MATERIALIZED (
    SELECT
        r.line_number, r.fault,
        upper(btrim(r.invoice)) AS invoice,
        nullif(upper(btrim(r.stock_code)), '') AS stock_code,
        nullif(regexp_replace(btrim(r.description), '\s+', ' ', 'g'), '') AS description,
        -- Whole numbers are now and then written as 12.0.
        regexp_replace(btrim(r.quantity), '\.0+$', '') AS quantity,
        btrim(r.price) AS price,
        btrim(r.invoice_date) AS invoice_date,
        nullif(regexp_replace(btrim(r.customer), '\.0+$', ''), '') AS customer
    FROM pg_temp.billing_sample_line AS r
),

checked AS MATERIALIZED (
    SELECT
        c.line_number, c.invoice, c.stock_code, c.description, c.customer, c.quantity, c.price, c.invoice_date,
        CASE
            WHEN c.fault IS NOT NULL THEN c.fault
            WHEN coalesce(c.invoice, '') = '' THEN 'no invoice number'
            WHEN c.stock_code IS NULL THEN 'no stock code'
            WHEN length(c.stock_code) > 40 THEN 'a stock code of more than 40 characters'
            WHEN length(c.customer) > 40 THEN 'a customer of more than 40 characters'
            WHEN coalesce(c.quantity, '') !~ '^[+-]?[0-9]{{1,9}}$'
                THEN 'quantity ' || quote_literal(coalesce(left(c.quantity, 40), ''))
            WHEN coalesce(c.price, '') !~ '^[+-]?[0-9]{{1,9}}([.][0-9]{{1,12}})?$'
                THEN 'price ' || quote_literal(coalesce(left(c.price, 40), ''))
            WHEN
                coalesce(c.invoice_date, '')
                !~ '^[1-9][0-9]{{3}}-(0[1-9]|1[0-2])-([0-2][0-9]|3[01])[ T]([01][0-9]|2[0-3])(:[0-5][0-9]){{1,2}}$'
                THEN 'date ' || quote_literal(coalesce(left(c.invoice_date, 40), ''))
            WHEN
                substr(c.invoice_date, 9, 2)::integer NOT BETWEEN 1 AND extract(
                    DAY FROM
                    make_date(substr(c.invoice_date, 1, 4)::integer, substr(c.invoice_date, 6, 2)::integer, 1)
                    + interval '1 month - 1 day'
                )
                THEN 'date ' || quote_literal(c.invoice_date)
        END AS malformed
    FROM cleaned AS c
),

typed AS (
    SELECT
        c.line_number, c.invoice, c.stock_code, c.description, c.customer, c.malformed,
        CASE WHEN c.malformed IS NULL THEN c.quantity::integer END AS quantity,
        CASE WHEN c.malformed IS NULL THEN c.price::numeric END AS price,
        CASE WHEN c.malformed IS NULL THEN c.invoice_date::timestamp AT TIME ZONE 'Europe/London' END AS ordered_at
    FROM checked AS c
)

SELECT
    t.line_number, t.stock_code, t.description, t.customer, t.quantity, t.price, t.ordered_at, t.malformed AS detail,
    CASE
        WHEN t.malformed IS NOT NULL THEN 'malformed'
        WHEN t.invoice LIKE 'C%%' THEN 'cancelled'
        -- Postage, carriage, fees, discounts, corrections, samples, tests and vouchers: booked like goods,
        -- subscribed to by nobody. A code that is not listed counts as goods.
        WHEN
            t.stock_code
            ~ '^(POST|DOT|C[0-9]|M|D|S|B|ADJUST[0-9]*|BANK CHARGES|AMAZONFEE|CRUK|TEST[0-9]*|GIFT(_[0-9_]+)?)$'
            THEN 'not_goods'
        WHEN t.customer IS NULL THEN 'customerless'
        WHEN t.quantity <= 0 THEN 'no_quantity'
        -- As a list price holds four decimals, so that no service is listed at 0.
        WHEN round(t.price, 4) <= 0 THEN 'priceless'
        ELSE 'used'
    END AS outcome
FROM typed AS t
