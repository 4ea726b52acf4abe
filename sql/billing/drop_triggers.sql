-- Detach what create_triggers.sql attached.
DO $body$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT t.tgname, t.tgrelid::regclass AS table_name
        FROM pg_trigger AS t
        INNER JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE
            NOT t.tgisinternal
            AND t.tgrelid::regclass::text LIKE 'billing\_%%'
            AND p.proname LIKE 'billing\_%%'
    LOOP
        EXECUTE format('DROP TRIGGER %%I ON %%s', found.tgname, found.table_name);
    END LOOP;
END
$body$
