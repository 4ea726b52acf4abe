-- Drop the function that knows zones, after the check that calls it.
DROP FUNCTION IF EXISTS billing_known_zone(text)
