-- Make the table of repairs: one row for each that began. It is made by the repair, for ops itself may be what broke.
-- idents: repair
CREATE TABLE IF NOT EXISTS {repair} (
    repair uuid PRIMARY KEY,
    begun timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended timestamptz,
    -- running, done, unverified, stopped, failed, or interrupted: its process was ended.
    state text NOT NULL DEFAULT 'running',
    who text NOT NULL,
    started_from text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    -- The two sessions of the repair: the one that holds the locks, and the one that works.
    guard_pid integer NOT NULL,
    guard_start timestamptz,
    worker_pid integer NOT NULL,
    worker_start timestamptz,
    -- Hash of the catalogue and the history that the plan was made of.
    plan_snapshot text NOT NULL,
    plan_mode text NOT NULL,
    choices jsonb NOT NULL,
    code_version text NOT NULL,
    -- The row of ops_run, where there is one; runs may be pruned, this stays.
    run bigint,
    -- The repair that this one takes back.
    reverts uuid,
    message text NOT NULL DEFAULT ''
)
