-- Every sequence with the value that it gave last, null before the first, or where the role may not read it.
-- returns: schema_name, sequence_name, last_value, min_value, max_value, increment_by, cycles, readable
SELECT
    s.schemaname::text AS schema_name,
    s.sequencename::text AS sequence_name,
    s.last_value,
    s.min_value,
    s.max_value,
    s.increment_by,
    s.cycle AS cycles,
    has_sequence_privilege(quote_ident(s.schemaname) || '.' || quote_ident(s.sequencename), 'USAGE, SELECT') AS readable
FROM pg_sequences AS s
ORDER BY s.schemaname ASC, s.sequencename ASC
