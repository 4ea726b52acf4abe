-- Take the invoice lines that billing.sample.Lines encodes.
COPY pg_temp.billing_sample_line FROM STDIN WITH (FORMAT csv)
