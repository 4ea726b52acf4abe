-- Replication slots that nobody reads, or whose reader is far behind, with the bytes of WAL that they hold back.
-- params: most
-- returns: name, active, status, held
SELECT f.name, f.active, f.status, f.held
FROM (
    SELECT
        s.slot_name::text AS name,
        s.active,
        s.wal_status AS status,
        coalesce(
            pg_wal_lsn_diff(
                CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                s.restart_lsn
            ),
            0
        )::bigint AS held
    FROM pg_replication_slots AS s
) AS f
WHERE NOT f.active OR f.held > %(most)s::bigint
ORDER BY f.name ASC
