-- Take any text as a partner's zone again.
ALTER TABLE billing_partner DROP CONSTRAINT billing_partner_zone
