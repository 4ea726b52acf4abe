-- Forget the sequence of versions.
DROP SEQUENCE ops_version
