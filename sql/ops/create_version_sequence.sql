-- Make the sequence of versions: no number of it comes twice, whatever is rolled back or truncated.
-- It belongs to no table, or TRUNCATE .. RESTART IDENTITY would begin it again; slots of stripes lie below its start.
CREATE SEQUENCE ops_version AS bigint MINVALUE 1000
