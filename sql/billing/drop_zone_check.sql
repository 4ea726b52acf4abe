-- Take any text as the catalogue's zone again.
ALTER TABLE billing_catalogue DROP CONSTRAINT billing_catalogue_zone
