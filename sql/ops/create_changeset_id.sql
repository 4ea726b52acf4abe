-- Make the sequence of changesets: their order in time.
CREATE SEQUENCE ops_changeset_id AS bigint
