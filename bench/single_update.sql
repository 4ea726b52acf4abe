-- The limit: one UPDATE .. FROM over the price list, of the rows that differ.
UPDATE billing_subscription AS s
SET price = l.price
FROM bench_price AS l
WHERE
    l.service_id = s.service_id AND l.plan_id = s.plan_id
    AND s.quantity >= l.minimum_quantity AND s.quantity < l.below
    AND (s.pinned_until IS NULL OR s.pinned_until <= now())
    AND s.price IS DISTINCT FROM l.price;
