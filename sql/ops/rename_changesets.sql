-- Put the changesets of Setwise 0.1, which were not partitioned, aside.
ALTER TABLE ops_changeset RENAME TO ops_changeset_before
