-- Mark every subscription: a run as of an instant that has passed may leave prices that are not today's.
-- returns: id
INSERT INTO billing_mark (reason) VALUES ('priced as of a past instant')
RETURNING id
