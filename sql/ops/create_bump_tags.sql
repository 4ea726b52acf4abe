-- Make the function that moves the versions of tags: it only adds rows, which waits for nobody, and now and then merges
-- those of the tags that it was called with.
CREATE OR REPLACE FUNCTION ops_bump_tags(moved text, tags text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    done text;
BEGIN
    INSERT INTO ops_tagversion (name, tag, version) SELECT moved, t.tag, 1 FROM unnest(tags) AS t (tag);
    IF random() < 0.016 THEN
        done := ops_merge_tags(moved, tags);
    END IF;
END
$$
