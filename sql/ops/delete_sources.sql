-- Forget the texts of statements under which no run that is kept has begun.
DELETE FROM ops_source AS s
WHERE NOT EXISTS (
    SELECT 1
    FROM ops_run AS r
    CROSS JOIN jsonb_each_text(r.statements) AS e
    WHERE e.value = s.digest
)
