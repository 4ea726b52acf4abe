-- What the unit price of each subscription ought to be at an instant: its place in the staged price list.
-- A pinned subscription keeps its price; refused says what is missing where there is no price. Which list value a
-- subscription follows is only asked where its service or plan has more than one.
-- params: as_of
-- returns: id, version, before_price, price, quantity, currency, refused
SELECT
    s.id, s.version, s.price AS before_price,
    CASE
        WHEN s.price IS NOT NULL AND s.pinned_until > %(as_of)s::timestamptz THEN s.price
        ELSE l.prices[p.place]
    END AS price,
    s.quantity, l.currency_id AS currency,
    CASE
        WHEN s.price IS NOT NULL AND s.pinned_until > %(as_of)s::timestamptz THEN NULL
        WHEN s.plan_id IS NULL THEN 'it has no plan'
        -- Without this, a row that came to a pair of service and plan which was staged for no other row, after the
        -- staging, would be written to null. It carries a mark of its own, for the next run.
        WHEN l.prices[p.place] IS NULL THEN coalesce(l.refused, 'it changed while the run computed prices')
    END AS refused
FROM pg_temp.billing_repriced AS s
LEFT JOIN pg_temp.billing_price AS l ON l.service_id = s.service_id AND l.plan_id = s.plan_id
CROSS JOIN LATERAL ( -- noqa: ST05, a lateral subquery cannot be a CTE
    SELECT
        width_bucket(s.quantity, l.minimums) + CASE WHEN l.followed THEN cardinality(l.minimums) * (
            l.plan_versions * (
                SELECT
                    billing_followed_version(
                        v.list_values, v.effective, v.follows, v.scopes,
                        s.started_at, s.renews_at, s.billing_period, %(as_of)s::timestamptz, k.zone
                    )
                FROM pg_temp.billing_list_value AS v
                CROSS JOIN billing_catalogue AS k
                WHERE v.service_id = s.service_id
            )
            + (
                SELECT
                    billing_followed_version(
                        v.list_values, v.effective, v.follows, v.scopes,
                        s.started_at, s.renews_at, s.billing_period, %(as_of)s::timestamptz, k.zone
                    )
                FROM pg_temp.billing_list_value AS v
                CROSS JOIN billing_catalogue AS k
                WHERE v.plan_id = s.plan_id
            )
        ) ELSE 0 END AS place
) AS p
