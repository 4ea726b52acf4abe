-- Refuse a zone that is not the name of one, letter for letter: Python knows no other, and the server may read it
-- otherwise; every partner's receivables would fail on the one that has it.
ALTER TABLE billing_partner
DROP CONSTRAINT IF EXISTS billing_partner_zone,
ADD CONSTRAINT billing_partner_zone CHECK (billing_known_zone(zone))
