-- Define billing_mark_inputs: mark what a statement on an input of prices touches, in its own transaction.
-- The trigger's arguments are two SQL expressions over the changed rows: the service and the plan that they
-- concern (null means any). Rows that the statement left as they were mark nothing.
CREATE OR REPLACE FUNCTION billing_mark_inputs() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $body$
DECLARE
    changed text := CASE TG_OP
        WHEN 'INSERT' THEN 'TABLE new_rows'
        WHEN 'DELETE' THEN 'TABLE old_rows'
        ELSE '(TABLE old_rows EXCEPT ALL TABLE new_rows) UNION ALL (TABLE new_rows EXCEPT ALL TABLE old_rows)'
    END;
BEGIN
    EXECUTE format(
        'INSERT INTO billing_mark (service_id, plan_id, reason) '
        'SELECT DISTINCT (%%s)::bigint, (%%s)::bigint, %%L FROM (%%s) AS r',
        TG_ARGV[0], TG_ARGV[1], TG_TABLE_NAME, changed
    );
    RETURN NULL;
END
$body$
