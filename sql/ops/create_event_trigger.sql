-- Keep events from being rewritten.
CREATE TRIGGER ops_runevent_append_only BEFORE UPDATE ON ops_runevent
FOR EACH ROW EXECUTE FUNCTION ops_append_only()
