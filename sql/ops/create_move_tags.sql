-- Make the function of the triggers that move the versions of the tags of rows: of the values in a column.
-- A null is a tag of its own, told from an empty text by the missing equals sign. The rows of one statement have up to
-- a thousand tags, or else all tags are moved by the one named "*".
-- It runs as its owner, so it makes no text of a value by what somebody else has defined: a cast of a type of theirs.
CREATE OR REPLACE FUNCTION ops_move_tags() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    whole text;
    tags text[];
    several bigint;
    fit boolean;
    plain boolean;
    expression text;
    done text;
BEGIN
    IF tg_op <> 'TRUNCATE' THEN
        -- The types are those of ops.cache.triggers.KINDS. What is below 16384 came with the server.
        SELECT
            bool_or(a.attname = tg_argv[0] AND a.atttypid = ANY(
                '{{smallint,integer,bigint,text,character varying,uuid,boolean}}'::regtype[]::oid[]
            )),
            bool_and(a.atttypid < 16384)
        INTO fit, plain
        FROM pg_attribute AS a
        WHERE a.attrelid = tg_relid AND a.attnum > 0 AND NOT a.attisdropped;
    END IF;
    IF fit IS NOT TRUE THEN
        -- All rows are gone; or a migration has renamed or altered the column, and its rows are written all the same.
        tags := ARRAY['*'];
    ELSIF plain THEN
        -- A few rows are read as JSON, since a statement that names the column would have to be planned each time.
        IF tg_op = 'INSERT' THEN
            SELECT array_agg(DISTINCT left(tg_argv[0] || coalesce('=' || (d.doc ->> tg_argv[0]), ''), 200)), count(*)
            INTO tags, several
            FROM (SELECT to_jsonb(r) AS doc FROM new_rows AS r LIMIT 17) AS d;
        ELSIF tg_op = 'DELETE' THEN
            SELECT array_agg(DISTINCT left(tg_argv[0] || coalesce('=' || (d.doc ->> tg_argv[0]), ''), 200)), count(*)
            INTO tags, several
            FROM (SELECT to_jsonb(r) AS doc FROM old_rows AS r LIMIT 17) AS d;
        ELSE
            SELECT array_agg(DISTINCT left(tg_argv[0] || coalesce('=' || (d.doc ->> tg_argv[0]), ''), 200)), count(*)
            INTO tags, several
            FROM (
                SELECT to_jsonb(r) AS doc FROM old_rows AS r
                UNION ALL
                SELECT to_jsonb(r) AS doc FROM new_rows AS r
                LIMIT 17
            ) AS d;
        END IF;
    END IF;
    IF fit AND (several > 16 OR NOT plain) THEN
        expression := CASE tg_op
            WHEN 'INSERT' THEN 'SELECT %%1$s AS tag FROM new_rows'
            WHEN 'DELETE' THEN 'SELECT %%1$s AS tag FROM old_rows'
            ELSE 'SELECT %%1$s AS tag FROM old_rows UNION ALL SELECT %%1$s AS tag FROM new_rows'
        END;
        EXECUTE format(
            'SELECT array_agg(d.tag) FROM (SELECT DISTINCT r.tag FROM (' || expression || ') AS r LIMIT 1001) AS d',
            format('left(%%1$L || coalesce(''='' || %%1$I::text, ''''), 200)', tg_argv[0])
        ) INTO tags;
        IF cardinality(tags) > 1000 THEN
            tags := ARRAY['*'];
        END IF;
    END IF;
    IF tags IS NULL THEN
        RETURN NULL;
    END IF;
    IF tg_nargs > 1 THEN
        whole := ops_versioned_name(tg_relid);
    ELSE
        whole := tg_table_schema || '.' || tg_table_name;
    END IF;
    done := ops_bump_tags(whole, tags);
    RETURN NULL;
END
$$
