-- Make the table of a load's rows, anew.
-- params: load, relation, taken
-- returns: opened
SELECT ops_open_merge(%(load)s::bigint, %(relation)s::regclass, %(taken)s::text[]) AS opened
