-- Give the unfinished runs of Setwise 0.1 a cursor of today: the first key of the window that they were in.
-- Rows of that window that they had written do not differ any more, so nothing is written twice. Windows had a million
-- rows. Whoever began a revert had said yes to it before; an apply had asked before it wrote its first batch.
UPDATE ops_run AS r
SET
    consent = TRUE,
    cursor = CASE
        WHEN r.cursor IS NULL THEN NULL
        WHEN r.verb = 'revert'
            THEN (
                SELECT jsonb_build_object('before', min(c.id))
                FROM ops_changeset AS c
                WHERE c.run_id = r.reverts_id AND c.batch >= (r.cursor ->> 'batch')::integer
            )
        ELSE jsonb_build_object('after', r.cursor -> 'after', 'number', 0, 'rows', 1000000)
    END
WHERE r.state IN ('running', 'stopped') AND (r.cursor IS NOT NULL OR r.verb = 'revert')
