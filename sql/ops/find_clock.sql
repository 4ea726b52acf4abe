-- Read the server's clock: the one clock that all hosts of an installation share.
-- returns: now
SELECT clock_timestamp() AS now
