-- Define billing_price_list: what a unit costs at an instant, for pairs of service and plan. This is the price rule.
-- One row per pair. prices holds a price for each list value of the service that a subscription may pay, for each
-- of the plan (see billing_list_values), for each quantity from one of minimums on, the last running fastest;
-- followed says that there is more than one list value. A price is null where refused says what is missing.
-- The list price less the plan's discount, the promotions in force and the tier of the quantity, combined by the
-- catalogue's policy, at least 0, rounded once, half away from zero, to the currency's minor unit.
CREATE OR REPLACE FUNCTION billing_price_list(
    as_of timestamptz, service_ids bigint[], plan_ids bigint[]
) RETURNS TABLE (
    service_id bigint, plan_id bigint, currency_id text, followed boolean, plan_versions integer,
    minimums integer[], prices numeric[], refused text
)
LANGUAGE sql STABLE PARALLEL SAFE
AS $body$
    WITH pair AS (
        SELECT u.service_id, u.plan_id FROM unnest(service_ids, plan_ids) AS u (service_id, plan_id)
    ),

    subject AS MATERIALIZED (
        SELECT v.service_id, v.plan_id, v.currency_id, v.list_values
        FROM billing_list_values(
            as_of,
            (SELECT coalesce(array_agg(DISTINCT p.service_id), '{{}}') FROM pair AS p),
            (SELECT coalesce(array_agg(DISTINCT p.plan_id), '{{}}') FROM pair AS p)
        ) AS v
    ),

    listed AS (
        SELECT
            p.service_id, p.plan_id, s.currency_id,
            sv.ordinality::integer - 1 AS service_version, sv.value AS list_price,
            pv.ordinality::integer - 1 AS plan_version, pv.value AS plan_percent,
            c.minor_units
        FROM pair AS p
        INNER JOIN subject AS s ON s.service_id = p.service_id
        INNER JOIN subject AS l ON l.plan_id = p.plan_id
        LEFT JOIN billing_currency AS c ON c.code = s.currency_id
        CROSS JOIN unnest(s.list_values) WITH ORDINALITY AS sv (value, ordinality)
        CROSS JOIN unnest(l.list_values) WITH ORDINALITY AS pv (value, ordinality)
    ),

    promotion AS MATERIALIZED (
        SELECT p.service_id, p.plan_id, p.percent, p.amount, p.priority
        FROM billing_promotion AS p
        WHERE
            p.starts_at <= as_of AND (p.ends_at IS NULL OR p.ends_at > as_of)
            AND (p.service_id IS NULL OR p.service_id IN (SELECT q.service_id FROM pair AS q))
    ),

    -- Three joins on equality, not one with OR: each is a hash join, whatever the number of promotions.
    offer AS (
        SELECT q.service_id, q.plan_id, o.percent, o.amount, o.priority
        FROM pair AS q
        INNER JOIN promotion AS o ON o.service_id = q.service_id AND o.plan_id = q.plan_id
        UNION ALL
        SELECT q.service_id, q.plan_id, o.percent, o.amount, o.priority
        FROM pair AS q
        INNER JOIN promotion AS o ON o.service_id = q.service_id AND o.plan_id IS NULL
        UNION ALL
        SELECT q.service_id, q.plan_id, o.percent, o.amount, o.priority
        FROM pair AS q
        INNER JOIN promotion AS o ON o.plan_id = q.plan_id AND o.service_id IS NULL
    ),

    offers AS (
        SELECT
            o.service_id, o.plan_id,
            max(o.percent) AS percent, max(o.amount) AS amount,
            array_agg(o.percent ORDER BY o.priority DESC) AS percents,
            array_agg(o.amount ORDER BY o.priority DESC) AS amounts
        FROM offer AS o
        GROUP BY o.service_id, o.plan_id
    ),

    tier AS (
        SELECT q.service_id, q.minimum_quantity, q.percent
        FROM billing_quantitytier AS q
        WHERE q.service_id IN (SELECT p.service_id FROM pair AS p)
        UNION ALL
        -- Below every tier.
        SELECT DISTINCT p.service_id, 0, 0 FROM pair AS p
    ),

    price AS (
        SELECT
            l.service_id, l.plan_id, l.currency_id, l.service_version, l.plan_version, t.minimum_quantity,
            round(
                greatest(0, CASE
                    WHEN k.policy = 'best_of' THEN least(
                        l.list_price * (100 - greatest(l.plan_percent, t.percent, o.percent)) * 0.01,
                        l.list_price - o.amount
                    )
                    WHEN k.policy IS NOT NULL THEN billing_combined_price(
                        k.policy, k.reduction_order::text [], l.list_price,
                        l.plan_percent, t.percent, o.percents, o.amounts
                    )
                END)
                -- greatest() ignores a null; what is missing must leave the price missing.
                + l.list_price * 0 + CASE WHEN k.policy IS NULL THEN NULL ELSE 0 END,
                l.minor_units
            ) AS price,
            -- What a whole pair lacks comes first, so that one reason a pair is the right one for each of its prices.
            CASE
                WHEN k.policy IS NULL THEN 'there is no catalogue: its one row was deleted'
                WHEN l.minor_units IS NULL THEN 'its service has no currency'
                WHEN l.list_price IS NULL THEN 'its service has no price'
            END AS refused
        FROM listed AS l
        INNER JOIN tier AS t ON t.service_id = l.service_id
        LEFT JOIN offers AS o ON o.service_id = l.service_id AND o.plan_id = l.plan_id
        LEFT JOIN billing_catalogue AS k ON true
    )

    SELECT
        p.service_id, p.plan_id, max(p.currency_id),
        max(p.service_version) + max(p.plan_version) > 0, max(p.plan_version) + 1,
        array_agg(p.minimum_quantity ORDER BY p.minimum_quantity)
            FILTER (WHERE p.service_version = 0 AND p.plan_version = 0),
        array_agg(p.price ORDER BY p.service_version, p.plan_version, p.minimum_quantity),
        max(p.refused)
    FROM price AS p
    GROUP BY p.service_id, p.plan_id
$body$
