-- Make the table of what repairs did: one row for each statement that committed, and each row of history that changed.
-- idents: entry
CREATE TABLE IF NOT EXISTS {entry} (
    repair uuid NOT NULL,
    step integer NOT NULL,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    code text NOT NULL,
    object_key text NOT NULL,
    title text NOT NULL,
    -- statement, or history: a row of django_migrations.
    kind text NOT NULL,
    -- begun, done, failed, or left: it was not tried.
    state text NOT NULL,
    detail text NOT NULL DEFAULT '',
    statements text[] NOT NULL,
    undo_statements text[] NOT NULL,
    transactional boolean NOT NULL,
    -- The row of history as it was, null where there was none; and as the repair left it.
    row_before jsonb,
    row_after jsonb,
    -- The object as the catalogue had it afterwards: what is still so can be taken back.
    made jsonb,
    -- The repair that took this back.
    reverted_by uuid,
    PRIMARY KEY (repair, step)
)
