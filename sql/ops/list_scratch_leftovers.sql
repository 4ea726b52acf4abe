-- Scratch databases of plans that were killed: nobody is connected to them, and they are older than a while.
-- The age is in the name, since a process may be killed before it has written the comment; one with another comment is
-- another's.
-- params: pattern, note, before
-- returns: datname
SELECT d.datname::text AS datname
FROM pg_database AS d
WHERE
    CASE
        WHEN d.datname ~ %(pattern)s::text
            THEN split_part(d.datname, '_', 3)::bigint < %(before)s::bigint
        ELSE FALSE
    END
    AND coalesce(shobj_description(d.oid, 'pg_database'), %(note)s::text) = %(note)s::text
    AND NOT EXISTS (SELECT 1 FROM pg_stat_activity AS a WHERE a.datid = d.oid)
ORDER BY d.datname ASC
