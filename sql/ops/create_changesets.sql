-- Make the table of changesets, partitioned by the month in which their run was opened: old months are dropped whole.
-- A sequence and no identity column, for partitions can't have one before PostgreSQL 17.
CREATE TABLE ops_changeset (
    id bigint NOT NULL DEFAULT nextval('ops_changeset_id'),
    month date NOT NULL,
    -- No reference: making a month's partition would lock ops_run, and a batch that reads as of one moment would fail
    -- on it. Runs are deleted by `runs prune` alone, with their changesets.
    run_id bigint NOT NULL,
    "window" integer NOT NULL CHECK ("window" >= 0),
    batch integer NOT NULL CHECK (batch >= 0),
    rows integer NOT NULL CHECK (rows >= 0),
    slot_from integer NOT NULL CHECK (slot_from >= 0),
    slot_upto integer NOT NULL CHECK (slot_upto >= 0),
    low text[] NOT NULL,
    high text[] NOT NULL,
    keys text[] NOT NULL,
    before text[] NOT NULL,
    after text[] NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT ops_changeset_key PRIMARY KEY (id, month),
    CONSTRAINT ops_changeset_batch UNIQUE (run_id, "window", batch, month)
) PARTITION BY LIST (month)
