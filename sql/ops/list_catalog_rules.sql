-- The rules of some tables and views; that of a view is its definition.
-- params: relations
-- returns: kind, object_, relation, name, definition_, enabled, comment_
SELECT
    'rule' AS kind, r.oid::bigint AS object_, r.ev_class::bigint AS relation, r.rulename::text AS name,
    pg_get_ruledef(r.oid) AS definition_,
    r.ev_enabled::text AS enabled,
    o.description AS comment_
FROM pg_rewrite AS r
LEFT JOIN pg_description AS o ON o.classoid = 'pg_rewrite'::regclass AND o.objoid = r.oid AND o.objsubid = 0
WHERE r.ev_class = any(%(relations)s::oid[]) AND r.ev_type <> '1'
ORDER BY r.ev_class ASC, r.rulename ASC
