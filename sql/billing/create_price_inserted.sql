-- Define billing_price_inserted: give the subscriptions of one INSERT or COPY their price before it commits.
-- They are marked too: an input that another transaction is just changing can't be seen yet, and that
-- transaction's mark may be claimed before these rows can be seen.
-- A pinned row keeps the price it brings; one whose service, plan or currency lacks something has none.
CREATE OR REPLACE FUNCTION billing_price_inserted() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $body$
DECLARE
    as_of timestamptz := clock_timestamp();
    service_ids bigint [];
    plan_ids bigint [];
BEGIN
    INSERT INTO billing_mark (subscription_ids, reason)
    SELECT array_agg(n.id), 'inserted' FROM new_rows AS n HAVING count(*) > 0;

    SELECT coalesce(array_agg(p.service_id), '{{}}'), coalesce(array_agg(p.plan_id), '{{}}') INTO service_ids, plan_ids
    FROM (SELECT DISTINCT n.service_id, n.plan_id FROM new_rows AS n WHERE n.plan_id IS NOT NULL) AS p;

    UPDATE billing_subscription AS s
    SET price = w.price
    FROM (
        WITH list_value AS MATERIALIZED (
            SELECT v.service_id, v.plan_id, v.list_values, v.effective, v.follows, v.scopes
            FROM billing_list_values(as_of, service_ids, plan_ids) AS v
        ),

        price_list AS MATERIALIZED (
            SELECT l.service_id, l.plan_id, l.followed, l.plan_versions, l.minimums, l.prices
            FROM billing_price_list(as_of, service_ids, plan_ids) AS l
        )

        SELECT
            n.id,
            l.prices[width_bucket(n.quantity, l.minimums) + CASE WHEN l.followed THEN cardinality(l.minimums) * (
                l.plan_versions * billing_followed_version(
                    sv.list_values, sv.effective, sv.follows, sv.scopes,
                    n.started_at, n.renews_at, n.billing_period, as_of, k.zone
                )
                + billing_followed_version(
                    pv.list_values, pv.effective, pv.follows, pv.scopes,
                    n.started_at, n.renews_at, n.billing_period, as_of, k.zone
                )
            ) ELSE 0 END] AS price
        FROM new_rows AS n
        LEFT JOIN price_list AS l ON l.service_id = n.service_id AND l.plan_id = n.plan_id
        LEFT JOIN list_value AS sv ON sv.service_id = n.service_id AND l.followed
        LEFT JOIN list_value AS pv ON pv.plan_id = n.plan_id AND l.followed
        LEFT JOIN billing_catalogue AS k ON true
        WHERE n.price IS NULL OR n.pinned_until IS NULL OR n.pinned_until <= as_of
    ) AS w
    WHERE s.id = w.id AND s.price IS DISTINCT FROM w.price;
    RETURN NULL;
END
$body$
