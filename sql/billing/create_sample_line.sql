-- Make the table that takes a file's invoice lines as they are: text, the number of the line, and what keeps it
-- from being a record at all. Empty fields arrive as null.
CREATE TEMPORARY TABLE billing_sample_line (
    line_number bigint NOT NULL,
    fault text,
    invoice text,
    stock_code text,
    description text,
    quantity text,
    invoice_date text,
    price text,
    customer text
) ON COMMIT DROP
