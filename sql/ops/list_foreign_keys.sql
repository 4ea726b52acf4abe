-- The foreign keys of a table, and those of others that refer to it.
-- params: relation
-- returns: name, outgoing, own, other, others, match_full, itself
WITH keys AS (
    SELECT
        k.conname::text AS key_name,
        k.conrelid = %(relation)s::regclass AS outgoing,
        CASE WHEN k.conrelid = %(relation)s::regclass THEN k.confrelid ELSE k.conrelid END AS other_id,
        CASE WHEN k.conrelid = %(relation)s::regclass THEN k.conkey ELSE k.confkey END AS own_places,
        CASE WHEN k.conrelid = %(relation)s::regclass THEN k.confkey ELSE k.conkey END AS other_places,
        k.confmatchtype = 'f' AS match_full,
        k.conrelid = k.confrelid AS itself
    FROM pg_constraint AS k
    WHERE
        k.contype = 'f'
        AND (k.conrelid = %(relation)s::regclass OR k.confrelid = %(relation)s::regclass)
        AND k.conparentid = 0
)

SELECT
    y.key_name AS name, y.outgoing,
    (
        SELECT array_agg(a.attname::text ORDER BY array_position(y.own_places, a.attnum))
        FROM pg_attribute AS a
        WHERE a.attrelid = %(relation)s::regclass AND a.attnum = any(y.own_places)
    ) AS own,
    y.other_id::regclass::text AS other,
    (
        SELECT array_agg(a.attname::text ORDER BY array_position(y.other_places, a.attnum))
        FROM pg_attribute AS a
        WHERE a.attrelid = y.other_id AND a.attnum = any(y.other_places)
    ) AS others,
    y.match_full, y.itself
FROM keys AS y
ORDER BY y.key_name ASC
