-- Define billing_list_values: for services and plans the list values a subscription may pay at an instant.
-- list_values begins with the value that everybody has left behind or still pays (set by the newest change that
-- all follow at once, or older than every change) and goes on with one value for each later change; effective,
-- follows and scopes describe those changes. service_ids and plan_ids bound the work; null means all.
CREATE OR REPLACE FUNCTION billing_list_values(
    as_of timestamptz, service_ids bigint[], plan_ids bigint[]
) RETURNS TABLE (
    service_id bigint, plan_id bigint, currency_id text,
    list_values numeric[], effective timestamptz[], follows text[], scopes text[]
)
LANGUAGE sql STABLE PARALLEL SAFE
AS $body$
    WITH subject AS (
        SELECT s.id AS service_id, NULL::bigint AS plan_id, s.currency_id::text AS currency_id, s.full_price AS value
        FROM billing_service AS s
        WHERE service_ids IS NULL OR s.id = ANY(service_ids)
        UNION ALL
        SELECT NULL, p.id, NULL, p.discount_percent
        FROM billing_plan AS p
        WHERE plan_ids IS NULL OR p.id = ANY(plan_ids)
    ),

    change AS (
        SELECT
            c.service_id, c.plan_id, c.effective_at, c.new_value, c.old_value, c.follow, c.scope,
            c.follow = 'at_once' AND c.scope = 'all' AS is_base,
            -- How many changes that all follow at once took effect at or after this one.
            count(*) FILTER (WHERE c.follow = 'at_once' AND c.scope = 'all' AND c.effective_at <= as_of) OVER (
                PARTITION BY c.service_id, c.plan_id ORDER BY c.effective_at DESC
            ) AS bases,
            row_number() OVER (PARTITION BY c.service_id, c.plan_id ORDER BY c.effective_at) AS ordinal
        FROM billing_pricechange AS c
        WHERE
            (c.service_id IS NOT NULL AND (service_ids IS NULL OR c.service_id = ANY(service_ids)))
            OR (c.plan_id IS NOT NULL AND (plan_ids IS NULL OR c.plan_id = ANY(plan_ids)))
    ),

    history AS (
        SELECT
            c.service_id, c.plan_id,
            bool_or(c.bases > 0) AS has_base,
            -- One row at most is the newest base, so max() only takes its value.
            max(c.new_value) FILTER (WHERE c.is_base AND c.bases = 1 AND c.effective_at <= as_of) AS base,
            max(c.old_value) FILTER (WHERE c.ordinal = 1) AS before_all,
            array_agg(c.new_value ORDER BY c.effective_at) FILTER (WHERE c.bases = 0 AND c.effective_at <= as_of)
                AS later_values,
            array_agg(c.effective_at ORDER BY c.effective_at) FILTER (WHERE c.bases = 0 AND c.effective_at <= as_of)
                AS effective,
            array_agg(c.follow::text ORDER BY c.effective_at) FILTER (WHERE c.bases = 0 AND c.effective_at <= as_of)
                AS follows,
            array_agg(c.scope::text ORDER BY c.effective_at) FILTER (WHERE c.bases = 0 AND c.effective_at <= as_of)
                AS scopes
        FROM change AS c
        GROUP BY c.service_id, c.plan_id
    )

    SELECT
        s.service_id, s.plan_id, s.currency_id,
        CASE WHEN h.has_base THEN h.base WHEN h.has_base IS NULL THEN s.value ELSE h.before_all END
        || coalesce(h.later_values, '{{}}'),
        coalesce(h.effective, '{{}}'), coalesce(h.follows, '{{}}'), coalesce(h.scopes, '{{}}')
    FROM subject AS s
    LEFT JOIN history AS h
        ON coalesce(h.service_id, 0) = coalesce(s.service_id, 0) AND coalesce(h.plan_id, 0) = coalesce(s.plan_id, 0)
$body$
