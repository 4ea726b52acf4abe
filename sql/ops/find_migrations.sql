-- Tell whether this session's role may read which migrations are applied; also where there is no table of them yet.
-- returns: readable
SELECT coalesce(has_table_privilege(to_regclass('django_migrations'), 'SELECT'), TRUE) AS readable
