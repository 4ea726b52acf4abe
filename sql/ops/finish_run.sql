-- End a run, or stop it resumably, if this owner still holds it.
-- Its counters are those of its windows, where it has any; those go with its end. A late hand's fence moves.
-- params: run, fence, state, message
-- returns: id
WITH told AS (
    SELECT
        sum(w.changed) AS changed,
        sum(w.batches) AS batches
    FROM ops_window AS w
    WHERE w.run_id = %(run)s::bigint
),

ended AS (
    UPDATE ops_run AS r
    SET
        state = %(state)s::text,
        message = %(message)s::text,
        -- What an operator wants of a run that only rests is heeded by who carries it on.
        wish = CASE WHEN %(state)s::text = 'queued' THEN r.wish ELSE '' END,
        changed = coalesce(t.changed, r.changed),
        batches = coalesce(t.batches, r.batches),
        finished_at = CASE WHEN %(state)s::text IN ('queued', 'stopped', 'paused') THEN NULL ELSE clock_timestamp() END
    FROM told AS t
    WHERE r.id = %(run)s::bigint AND r.fence = %(fence)s::bigint AND r.state = 'running'
    RETURNING r.id, r.finished_at
),

gone AS (
    DELETE FROM ops_window AS w
    USING ended AS e
    WHERE w.run_id = e.id AND e.finished_at IS NOT NULL
),

stopped AS (
    UPDATE ops_window AS w
    SET fence = w.fence + 1
    FROM ended AS e
    WHERE w.run_id = e.id AND e.finished_at IS NULL AND NOT w.done
)

SELECT e.id FROM ended AS e
