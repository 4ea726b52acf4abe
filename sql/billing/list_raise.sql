-- The staged raise, best-selling services first.
-- returns: service_id, name, currency, units, old_value, new_value, next_at, reason
SELECT r.service_id, r.name, r.currency_id AS currency, r.units, r.old_value, r.new_value, r.next_at, r.reason
FROM pg_temp.billing_raise AS r
ORDER BY r.best_selling
