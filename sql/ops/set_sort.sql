-- Let the planner of this transaction sort, or not where it can do without.
-- A plan's totals group a million rows by a handful of currencies; estimated too dear by what a row may cost at the
-- worst, sorting and hashing look alike, and sorting takes 0.2 s longer.
-- params: sort
-- returns: sort
SELECT set_config('enable_sort', CASE WHEN %(sort)s::boolean THEN 'on' ELSE 'off' END, TRUE) AS sort
