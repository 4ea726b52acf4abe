-- Where a sequence stands, as text: the last key that it gave, and whether it has given that one already.
-- idents: sequence
-- returns: last_value, is_called
SELECT
    to_jsonb(s) ->> 'last_value' AS last_value,
    to_jsonb(s) ->> 'is_called' AS is_called
-- A sequence has no row type of its own, and all of its three columns are one row.
FROM (SELECT * FROM {sequence}) AS s
