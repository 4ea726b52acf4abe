-- Give all versions a new beginning, greater than each was.
-- returns: version
INSERT INTO ops_tableversion (name, slot, version) VALUES ('*', 0, nextval('ops_version'))
ON CONFLICT (name, slot) DO UPDATE
    SET version = excluded.version
    WHERE excluded.version > ops_tableversion.version
RETURNING version
