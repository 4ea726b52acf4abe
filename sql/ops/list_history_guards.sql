-- What may stand in the way of a new row in the table of recorded migrations: triggers, rules, unique indexes, checks.
-- params: relation
-- returns: kind, name, definition, keys
SELECT
    'trigger' AS kind,
    t.tgname::text AS name,
    pg_get_triggerdef(t.oid) AS definition,
    NULL::text[] AS keys
FROM pg_trigger AS t
WHERE
    t.tgrelid = %(relation)s::bigint::oid
    AND NOT t.tgisinternal
    AND t.tgenabled <> 'D'
UNION ALL
SELECT
    'rule' AS kind,
    r.rulename::text AS name,
    pg_get_ruledef(r.oid) AS definition,
    NULL::text[] AS keys
FROM pg_rewrite AS r
WHERE
    r.ev_class = %(relation)s::bigint::oid
    AND r.ev_type <> '1'
    AND r.ev_enabled <> 'D'
UNION ALL
SELECT
    CASE WHEN i.indisprimary THEN 'primary key' ELSE 'unique index' END AS kind,
    c.relname::text AS name,
    pg_get_indexdef(i.indexrelid) AS definition,
    (
        SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
        LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
        WHERE k.place <= i.indnkeyatts
    ) AS keys
FROM pg_index AS i
INNER JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE
    i.indrelid = %(relation)s::bigint::oid
    AND i.indisunique
    AND i.indisready
UNION ALL
SELECT
    'check' AS kind,
    o.conname::text AS name,
    pg_get_constraintdef(o.oid) AS definition,
    NULL::text[] AS keys
FROM pg_constraint AS o
WHERE
    o.conrelid = %(relation)s::bigint::oid
    AND o.contype IN ('c', 'x', 'f')
ORDER BY kind ASC, name ASC
