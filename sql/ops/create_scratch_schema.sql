-- Make a schema of the real database's in the scratch database.
-- idents: schema
CREATE SCHEMA IF NOT EXISTS {schema}
