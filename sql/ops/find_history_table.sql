-- The table of recorded migrations as this session's search_path finds it, and what its role may do to it; where there
-- is none, in which schema it would be made.
-- returns: search_path, makes_in, may_make, oid, schema_name, kind, is_temp, may_read, may_insert, may_update,
-- may_delete, owns, guarded, who
SELECT
    current_schemas(FALSE)::text[] AS search_path,
    current_schema()::text AS makes_in,
    coalesce(has_schema_privilege(current_schema()::text, 'CREATE'), FALSE) AS may_make,
    c.oid::bigint AS oid,
    n.nspname::text AS schema_name,
    c.relkind::text AS kind,
    c.relpersistence = 't' AS is_temp,
    has_table_privilege(c.oid, 'SELECT') AS may_read,
    has_table_privilege(c.oid, 'INSERT') AS may_insert,
    has_table_privilege(c.oid, 'UPDATE') AS may_update,
    has_table_privilege(c.oid, 'DELETE') AS may_delete,
    pg_has_role(c.relowner, 'MEMBER') AS owns,
    c.relrowsecurity AND row_security_active(c.oid) AS guarded,
    current_user::text AS who
FROM (SELECT to_regclass('django_migrations') AS found) AS f
LEFT JOIN pg_class AS c ON c.oid = f.found
LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
