-- Tell whether a table has rows.
-- idents: relation
-- returns: has_rows
SELECT EXISTS(SELECT 1 FROM {relation}) AS has_rows
