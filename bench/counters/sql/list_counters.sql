-- Every counter at one more than its base.
-- returns: id, version, before_v, v
SELECT
    c.id, c.xmin AS version, c.v AS before_v, c.base + 1 AS v
FROM bench_counter AS c
