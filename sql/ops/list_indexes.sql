-- The indexes of a table by name: their columns in order, null for an expression, those that are only included, whether
-- the server may use them, and for which rows they are.
-- params: relation
-- returns: name, kind, usable, keys, included, predicate
SELECT
    c.relname::text AS name,
    m.amname::text AS kind,
    i.indisvalid AND i.indisready AS usable,
    array_agg(a.attname::text ORDER BY k.place) FILTER (WHERE k.place <= i.indnkeyatts) AS keys,
    coalesce(array_agg(a.attname::text ORDER BY k.place) FILTER (WHERE k.place > i.indnkeyatts), '{{}}') AS included,
    pg_get_expr(i.indpred, i.indrelid) AS predicate
FROM pg_index AS i
INNER JOIN pg_class AS c ON c.oid = i.indexrelid
INNER JOIN pg_am AS m ON m.oid = c.relam
CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
WHERE i.indrelid = to_regclass(%(relation)s::text)
GROUP BY c.relname, m.amname, i.indexrelid, i.indrelid, i.indisvalid, i.indisready, i.indpred, i.indnkeyatts
ORDER BY c.relname ASC
