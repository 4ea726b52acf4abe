-- Bind the sequence of changesets to their table.
ALTER SEQUENCE ops_changeset_id OWNED BY ops_changeset.id
