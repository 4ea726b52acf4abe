-- Make the function that gives a report's source, and all that inherits from it, the triggers of its rollup.
-- It returns the tables that had to be mended, and marks all buckets that may have been written to meanwhile.
-- The function of the triggers is made for the report, so that the server need not plan its statements for every write.
-- A marker is not written twice: whoever finds one holds on to it, so that no refresh takes it before the write is
-- committed. Nobody waits for that: a refresh passes over markers that are held, a write over those that are taken. A
-- transaction that reads as of its beginning always writes its own: one that it sees may be gone.
CREATE OR REPLACE FUNCTION ops_rollup_install(
    report_name text, declared text, relation regclass, time_name text, grain_name text, zone_name text, touch_name text
) RETURNS SETOF text LANGUAGE plpgsql
AS $$
DECLARE
    home text;
    whole text;
    names text[];
    before text[];
    found_files bigint[];
    files_before bigint[];
    touched_by text;
    instant text := format('c.%%I', time_name);
    one record;
    event record;
BEGIN
    SELECT n.nspname INTO home
    FROM pg_proc AS p
    INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = 'ops_rollup_tables(regclass)'::regprocedure;
    SELECT r.touch, r.tables, r.files INTO touched_by, before, files_before FROM ops_rollup AS r WHERE r.report = report_name FOR UPDATE;
    SELECT
        array_agg(t.name ORDER BY t.name COLLATE "C"),
        array_agg(t.file ORDER BY t.name COLLATE "C"),
        min(t.name) FILTER (WHERE t.id = relation)
    INTO names, found_files, whole
    FROM ops_rollup_tables(relation) AS t;
    IF touched_by IS DISTINCT FROM touch_name THEN
        -- Nobody writes to the tables, and so nobody holds a marker, from here to the end of the transaction.
        FOR one IN SELECT t.name FROM ops_rollup_tables(relation) AS t ORDER BY t.name COLLATE "C" ASC LOOP
            EXECUTE format('LOCK TABLE %%s IN SHARE ROW EXCLUSIVE MODE', one.name);
        END LOOP;
        IF touched_by IS NOT NULL THEN
            EXECUTE format('DROP FUNCTION IF EXISTS %%I.%%I() CASCADE', home, touched_by);
        END IF;
        DELETE FROM ops_rolluptouched AS m WHERE m.report = report_name;
        INSERT INTO ops_rolluptouched (report) VALUES (report_name);
        INSERT INTO ops_rollup (
            report, digest, source, time_column, grain, zone, touch, tables, files, columns, types
        ) VALUES (
            report_name, declared, whole, time_name, grain_name, zone_name, touch_name, names, found_files, '{{}}', '{{}}'
        )
        ON CONFLICT (report) DO UPDATE SET
            digest = excluded.digest, source = excluded.source, time_column = excluded.time_column,
            grain = excluded.grain, zone = excluded.zone, touch = excluded.touch, tables = excluded.tables,
            files = excluded.files, columns = excluded.columns, types = excluded.types, built_at = NULL, refreshed_at = NULL
        WHERE ops_rollup.touch <> excluded.touch;
    END IF;
    IF grain_name = 'date' THEN
        instant := format('(%%s::timestamp AT TIME ZONE ''UTC'')', instant);
    END IF;
    IF to_regprocedure(format('%%I.%%I()', home, touch_name)) IS NULL THEN
        EXECUTE format($make$
            CREATE FUNCTION %%1$I.%%2$I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, %%1$I, pg_temp
            AS $touch$
            DECLARE
                first timestamptz;
                last timestamptz;
                one timestamptz;
                buckets timestamptz[];
                shares boolean := current_setting('transaction_isolation') = 'read committed';
            BEGIN
                -- Where the column has become one of another type, no cast of that is to run as this function's owner.
                IF tg_op = 'TRUNCATE' OR NOT EXISTS (
                    SELECT 1 FROM pg_attribute AS a
                    WHERE
                        a.attrelid = tg_relid AND a.attname = %%9$L AND NOT a.attisdropped
                        AND a.atttypid IN ('timestamptz'::regtype, 'date'::regtype)
                ) THEN
                    INSERT INTO ops_rolluptouched (report) VALUES (%%3$L);
                    RETURN NULL;
                ELSIF tg_op = 'INSERT' THEN
                    SELECT min(r.instant), max(r.instant) INTO first, last
                    FROM (SELECT %%4$s AS instant FROM new_rows AS c) AS r
                    WHERE r.instant >= '0002-01-01 00:00:00+00' AND r.instant < '9998-01-01 00:00:00+00';
                ELSIF tg_op = 'DELETE' THEN
                    SELECT min(r.instant), max(r.instant) INTO first, last
                    FROM (SELECT %%4$s AS instant FROM old_rows AS c) AS r
                    WHERE r.instant >= '0002-01-01 00:00:00+00' AND r.instant < '9998-01-01 00:00:00+00';
                ELSE
                    SELECT min(r.instant), max(r.instant) INTO first, last
                    FROM (
                        SELECT %%4$s AS instant FROM old_rows AS c UNION ALL SELECT %%4$s FROM new_rows AS c
                    ) AS r
                    WHERE r.instant >= '0002-01-01 00:00:00+00' AND r.instant < '9998-01-01 00:00:00+00';
                END IF;
                IF first IS NULL THEN
                    RETURN NULL;
                END IF;
                IF shares THEN
                    PERFORM FROM ops_rolluptouched AS m
                    WHERE
                        m.report = %%3$L AND m.bucket <= first AND m.bucket > first - interval '72 hours'
                        AND m.ends_at > last
                    ORDER BY m.bucket DESC LIMIT 1 FOR KEY SHARE SKIP LOCKED;
                    IF FOUND THEN
                        RETURN NULL;
                    END IF;
                END IF;
                one := ops_rollup_bucket(first, %%5$L, %%6$L);
                IF last < ops_rollup_ends(one, %%5$L, %%6$L) THEN
                    buckets := ARRAY[one];
                ELSE
                    -- By the hour, of which both ends are looked at, for a row of each would take as long as its write.
                    EXECUTE format(
                        'SELECT array_agg(DISTINCT ops_rollup_bucket(e.instant, $1, $2)) '
                        'FROM (SELECT DISTINCT date_bin(''1 hour'', r.instant, ''2000-01-01 00:00:00+00'') AS starts '
                        'FROM (%%%%s) AS r WHERE r.instant >= ''0002-01-01 00:00:00+00'' '
                        'AND r.instant < ''9998-01-01 00:00:00+00'') AS h '
                        'CROSS JOIN LATERAL (VALUES (h.starts), (h.starts + interval ''59:59.999999'')) AS e (instant)',
                        CASE tg_op
                            WHEN 'INSERT' THEN %%7$L
                            WHEN 'DELETE' THEN %%8$L
                            ELSE %%7$L || ' UNION ALL ' || %%8$L
                        END
                    ) INTO buckets USING %%5$L, %%6$L;
                END IF;
                FOREACH one IN ARRAY buckets LOOP
                    IF shares THEN
                        PERFORM FROM ops_rolluptouched AS m
                        WHERE m.report = %%3$L AND m.bucket = one LIMIT 1 FOR KEY SHARE SKIP LOCKED;
                        CONTINUE WHEN FOUND;
                    END IF;
                    INSERT INTO ops_rolluptouched (report, bucket, ends_at)
                    VALUES (%%3$L, one, ops_rollup_ends(one, %%5$L, %%6$L));
                END LOOP;
                RETURN NULL;
            END
            $touch$
        $make$,
            home, touch_name, report_name, instant, grain_name, zone_name,
            format('SELECT %%s AS instant FROM new_rows AS c', instant),
            format('SELECT %%s AS instant FROM old_rows AS c', instant), time_name
        );
        -- It runs as its owner: nobody else is to make a trigger of it. Those that are there fire whoever writes.
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %%I.%%I() FROM public', home, touch_name);
    END IF;
    FOR one IN
        SELECT t.id, t.name, t.kind
        FROM ops_rollup_tables(relation) AS t
        LEFT JOIN pg_trigger AS g
            ON g.tgrelid = t.id AND g.tgenabled = 'A'
            AND g.tgfoid = to_regprocedure(format('%%I.%%I()', home, touch_name))
        GROUP BY t.id, t.name, t.kind
        HAVING count(g.oid) <> 4
        ORDER BY t.name COLLATE "C" ASC
    LOOP
        FOR event IN
            SELECT v.name, v.tables FROM (VALUES
                ('INSERT', 'REFERENCING NEW TABLE AS new_rows'),
                ('UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'),
                ('DELETE', 'REFERENCING OLD TABLE AS old_rows'),
                ('TRUNCATE', '')
            ) AS v (name, tables)
        LOOP
            EXECUTE format(
                'CREATE OR REPLACE TRIGGER %%I AFTER %%s ON %%s %%s FOR EACH STATEMENT EXECUTE FUNCTION %%I.%%I()',
                touch_name || '_' || lower(event.name), event.name, one.name, event.tables, home, touch_name
            );
            -- Also for a session that says it applies what was replicated.
            EXECUTE format(
                'ALTER TABLE %%s ENABLE ALWAYS TRIGGER %%I', one.name, touch_name || '_' || lower(event.name)
            );
        END LOOP;
        RETURN NEXT one.name;
        IF touched_by IS NOT DISTINCT FROM touch_name AND one.name = ANY(before) THEN
            INSERT INTO ops_rolluptouched (report) VALUES (report_name);
        ELSIF touched_by IS NOT DISTINCT FROM touch_name AND one.kind = 'r' THEN
            INSERT INTO ops_rolluptouched (report, bucket, ends_at)
            SELECT report_name, b.bucket, b.ends_at
            FROM ops_rollup_buckets(one.id::regclass, time_name, grain_name, zone_name) AS b;
        END IF;
    END LOOP;
    IF touched_by IS NOT DISTINCT FROM touch_name AND (before <> names OR files_before <> found_files) THEN
        UPDATE ops_rollup AS r SET tables = names, files = found_files WHERE r.report = report_name;
        -- What a table held that is gone, or was rewritten, nobody knows any more.
        IF EXISTS (
            SELECT
            FROM unnest(before, files_before) AS b (name, file)
            WHERE NOT EXISTS (SELECT FROM ops_rollup_tables(relation) AS t WHERE t.name = b.name AND t.file = b.file)
        ) THEN
            INSERT INTO ops_rolluptouched (report) VALUES (report_name);
        END IF;
    END IF;
END
$$
