-- Define billing_combined_price: a list price less its reductions under the policies 'stack' and 'exclusive'.
-- percents and amounts are the promotions in force, highest priority first; one of each pair is null. The
-- result is neither rounded nor below 0. (The policy 'best_of' is one expression in billing_price_list.)
CREATE OR REPLACE FUNCTION billing_combined_price(
    policy text, reduction_order text[], list_price numeric,
    plan_percent numeric, tier_percent numeric, percents numeric[], amounts numeric[]
) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $body$
DECLARE
    price numeric := list_price;
    kind text;
    applies boolean;
BEGIN
    FOREACH kind IN ARRAY reduction_order LOOP
        applies := false;
        IF kind = 'plan' AND plan_percent > 0 THEN
            price := price * (100 - plan_percent) * 0.01;
            applies := true;
        ELSIF kind = 'tier' AND tier_percent > 0 THEN
            price := price * (100 - tier_percent) * 0.01;
            applies := true;
        ELSIF kind = 'promotion' THEN
            FOR i IN 1 .. coalesce(cardinality(percents), 0) LOOP
                price := greatest(0, price * (100 - coalesce(percents[i], 0)) * 0.01 - coalesce(amounts[i], 0));
                applies := true;
                EXIT WHEN policy = 'exclusive';
            END LOOP;
        END IF;
        EXIT WHEN applies AND policy = 'exclusive';
    END LOOP;
    RETURN greatest(0, price);
END
$body$
