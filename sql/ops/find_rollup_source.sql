-- What kind of relation a rollup's source is; null where there is none, and no row before the functions are there.
-- params: relation
-- returns: kind
SELECT (SELECT c.relkind::text FROM pg_class AS c WHERE c.oid = to_regclass(%(relation)s::text)) AS kind
FROM pg_proc AS p
WHERE p.proname = 'ops_rollup_install' AND pg_function_is_visible(p.oid)
