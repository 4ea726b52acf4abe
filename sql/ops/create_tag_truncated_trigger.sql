-- Give versions a new beginning where the versions of tags are truncated, as a flush of the database does.
CREATE OR REPLACE TRIGGER ops_begin_versions_anew AFTER TRUNCATE ON ops_tagversion
FOR EACH STATEMENT EXECUTE FUNCTION ops_begin_versions_anew()
