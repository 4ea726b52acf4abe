-- Define billing_followed_version: which of a subject's list values a subscription pays at an instant.
-- values holds the value before the first of the changes, then one for each; the result is 0 for the first.
-- A subscription that starts at or after a change pays it at once. An older one follows at once, at its first
-- renewal since, or never; with scope 'unchanged' only if it paid the catalogue's value until then. Of the
-- changes that it has followed, the one declared to take effect last counts.
CREATE OR REPLACE FUNCTION billing_followed_version(
    list_values numeric[], effective timestamptz[], follows text[], scopes text[],
    started_at timestamptz, renews_at timestamptz, months integer, as_of timestamptz, zone text
) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $body$
DECLARE
    followed_at timestamptz [] := '{{}}';
    paid integer;
    result integer := 0;
BEGIN
    FOR i IN 1 .. cardinality(effective) LOOP
        followed_at[i] := CASE
            WHEN started_at >= effective[i] OR follows[i] = 'at_once' THEN effective[i]
            WHEN follows[i] = 'renewal' THEN billing_next_renewal(renews_at, months, effective[i], zone)
            ELSE 'infinity'
        END;
        IF scopes[i] = 'unchanged' AND started_at < effective[i] THEN
            paid := 0;
            FOR j IN 1 .. i - 1 LOOP
                IF followed_at[j] < effective[i] THEN
                    paid := j;
                END IF;
            END LOOP;
            IF list_values[paid + 1] IS DISTINCT FROM list_values[i] THEN
                followed_at[i] := 'infinity';
            END IF;
        END IF;
        IF followed_at[i] <= as_of THEN
            result := i;
        END IF;
    END LOOP;
    RETURN result;
END
$body$
