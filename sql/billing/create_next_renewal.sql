-- Define billing_next_renewal: the first renewal at or after an instant.
-- Renewals lie a whole number of billing periods before and after renews_at, counted in local months of the
-- catalogue's zone (31 January plus a month is the last day of February).
CREATE OR REPLACE FUNCTION billing_next_renewal(
    renews_at timestamptz, months integer, since timestamptz, zone text
) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $body$
DECLARE
    anchor timestamp := renews_at AT TIME ZONE zone;
    target timestamp := since AT TIME ZONE zone;
    gap integer := 12 * (extract(year FROM target)::integer - extract(year FROM anchor)::integer)
        + extract(month FROM target)::integer - extract(month FROM anchor)::integer;
    -- One period early, so that the loop below always comes from before.
    periods integer := floor(gap::numeric / months)::integer - 1;
    renewal timestamptz;
BEGIN
    LOOP
        renewal := (anchor + make_interval(months => periods * months)) AT TIME ZONE zone;
        EXIT WHEN renewal >= since;
        periods := periods + 1;
    END LOOP;
    RETURN renewal;
END
$body$
