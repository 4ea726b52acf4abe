-- Forget the table of Setwise 0.1, whose rows have been moved.
DROP TABLE ops_changeset_before
