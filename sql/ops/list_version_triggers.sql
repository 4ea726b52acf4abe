-- The triggers that move versions: on which table, as what, and whether they fire; null where they are not installed.
-- Those that are not near, in a schema of the search_path, may serve another program.
-- returns: relation, home, relation_name, trigger_name, callee, events, enabled, arguments, argument, is_owned, near
SELECT
    c.oid AS relation,
    n.nspname AS home,
    c.relname AS relation_name,
    t.tgname AS trigger_name,
    p.proname AS callee,
    t.tgtype AS events,
    t.tgenabled AS enabled,
    t.tgnargs AS arguments,
    CASE WHEN t.tgnargs > 0 THEN convert_from(
        substring(t.tgargs FOR position('\x00'::bytea IN t.tgargs) - 1), getdatabaseencoding()
    ) END AS argument,
    pg_has_role(c.relowner, 'USAGE') AS is_owned,
    n.nspname = ANY(current_schemas(FALSE)) AS near
FROM pg_trigger AS t
INNER JOIN pg_proc AS p ON p.oid = t.tgfoid
INNER JOIN pg_class AS c ON c.oid = t.tgrelid
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    starts_with(t.tgname, 'ops_version')
    OR t.tgfoid IN (to_regprocedure('ops_move_version()'), to_regprocedure('ops_move_tags()'))
ORDER BY n.nspname ASC, c.relname ASC, t.tgname ASC
