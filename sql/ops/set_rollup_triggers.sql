-- Give a rollup's source, and its partitions, the triggers that they lack; a report's first ones begin its rollup.
-- params: report, digest, relation, time_column, grain, zone, touch
-- returns: mended
SELECT
    ops_rollup_install(
        %(report)s::text, %(digest)s::text, %(relation)s::regclass, %(time_column)s::text, %(grain)s::text,
        %(zone)s::text, %(touch)s::text
    ) AS mended
