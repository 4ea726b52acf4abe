-- Refuse a zone that the server does not know: every count of renewals would fail on it.
ALTER TABLE billing_catalogue
DROP CONSTRAINT IF EXISTS billing_catalogue_zone,
ADD CONSTRAINT billing_catalogue_zone CHECK (timezone(zone, '2000-01-01 00:00:00+00'::timestamptz) IS NOT NULL)
