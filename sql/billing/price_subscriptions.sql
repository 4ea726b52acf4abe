-- What the unit price of each subscription ought to be at an instant: its place in the staged price list.
-- A pinned subscription keeps its price; refused says what is missing where there is no price.
-- params: as_of
-- returns: id, version, before_price, price, quantity, currency, refused
SELECT
    s.id, s.version, s.price AS before_price,
    CASE WHEN s.price IS NOT NULL AND s.pinned_until > %(as_of)s::timestamptz THEN s.price ELSE l.price END AS price,
    s.quantity, sv.currency_id AS currency,
    CASE
        WHEN s.price IS NOT NULL AND s.pinned_until > %(as_of)s::timestamptz THEN NULL
        WHEN s.plan_id IS NULL THEN 'it has no plan'
        ELSE l.refused
    END AS refused
FROM pg_temp.billing_repriced AS s
CROSS JOIN billing_catalogue AS k
LEFT JOIN pg_temp.billing_list_value AS sv ON sv.service_id = s.service_id
LEFT JOIN pg_temp.billing_list_value AS pv ON pv.plan_id = s.plan_id
LEFT JOIN pg_temp.billing_price AS l
    ON
        l.service_id = s.service_id AND l.plan_id = s.plan_id
        AND l.service_version = CASE WHEN sv.versions = 1 THEN 0 ELSE billing_followed_version(
            sv.list_values, sv.effective, sv.follows, sv.scopes,
            s.started_at, s.renews_at, s.billing_period, %(as_of)s::timestamptz, k.zone
        ) END
        AND l.plan_version = CASE WHEN pv.versions = 1 THEN 0 ELSE billing_followed_version(
            pv.list_values, pv.effective, pv.follows, pv.scopes,
            s.started_at, s.renews_at, s.billing_period, %(as_of)s::timestamptz, k.zone
        ) END
        AND s.quantity >= l.minimum_quantity AND s.quantity < l.below
