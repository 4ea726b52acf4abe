-- The privileges that this session's role lacks to carry out runs, as a GRANT names them.
-- What only pruning needs is not among them. Tables that are not there yet are left out.
-- returns: lacking, thing, grantee
WITH needed (name, privileges) AS (
    VALUES
    ('ops_run', ARRAY['SELECT', 'INSERT', 'UPDATE']),
    ('ops_runevent', ARRAY['SELECT', 'INSERT']),
    ('ops_window', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
    ('ops_source', ARRAY['SELECT', 'INSERT']),
    ('ops_changeset', ARRAY['SELECT', 'INSERT']),
    ('ops_hold', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
    ('ops_reject', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
    ('ops_anomaly', ARRAY['SELECT', 'INSERT', 'UPDATE']),
    ('ops_schedule', ARRAY['SELECT', 'INSERT', 'UPDATE']),
    ('ops_missedslots', ARRAY['SELECT', 'INSERT', 'UPDATE'])
),

missing AS (
    SELECT 'TEMPORARY' AS lacking, format('DATABASE %%I', current_database()) AS thing
    WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
    UNION ALL
    SELECT string_agg(p.one, ', ' ORDER BY p.place) AS lacking, format('TABLE %%I', n.name) AS thing
    FROM needed AS n
    CROSS JOIN unnest(n.privileges) WITH ORDINALITY AS p (one, place)
    WHERE NOT has_table_privilege(to_regclass(n.name), p.one)
    GROUP BY n.name
    UNION ALL
    SELECT 'USAGE' AS lacking, 'SEQUENCE ops_changeset_id' AS thing
    WHERE NOT has_sequence_privilege(to_regclass('ops_changeset_id'), 'USAGE')
    UNION ALL
    SELECT 'EXECUTE' AS lacking, 'FUNCTION ' || f.name AS thing
    FROM
        unnest(
            ARRAY[
                'ops_open_month(date)', 'ops_open_staging(bigint, integer)', 'ops_open_merge(bigint, regclass, text[])',
                'ops_settle_merge(bigint)', 'ops_drop_staging(bigint)'
            ]
        ) AS f (name)
    WHERE NOT has_function_privilege(to_regprocedure(f.name), 'EXECUTE')
)

SELECT m.lacking, m.thing, quote_ident(current_user::text) AS grantee
FROM missing AS m
ORDER BY m.thing ASC
