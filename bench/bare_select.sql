-- The limit of a sweep that finds nothing: the wanted price of every subscription, delivered to nobody.
COPY (
    SELECT s.id, l.price
    FROM billing_subscription AS s
    INNER JOIN bench_price AS l
        ON
            l.service_id = s.service_id AND l.plan_id = s.plan_id
            AND s.quantity >= l.minimum_quantity AND s.quantity < l.below
) TO '/dev/null';
