-- Let the rest of this transaction read a table whole, or by the blocks that an index finds, only where nothing else
-- will do: to see which index would serve a statement, were the table large.
-- returns: seq_scan, bitmap_scan
SELECT
    set_config('enable_seqscan', 'off', TRUE) AS seq_scan,
    set_config('enable_bitmapscan', 'off', TRUE) AS bitmap_scan
