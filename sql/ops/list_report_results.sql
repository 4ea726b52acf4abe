-- The saved results of a report, the latest instants of each window: of all windows, or of one.
-- params: report, name, filters, most
-- returns: window_name, as_of, told, came_to, kinds
SELECT r.window_name, r.as_of, r.told, r.came_to, r.kinds
FROM (
    SELECT
        t."window" AS window_name,
        t.as_of,
        t."group" AS told,
        t.values AS came_to,
        t.kinds,
        dense_rank() OVER (PARTITION BY t."window" ORDER BY t.as_of DESC) AS place
    FROM ops_reportresult AS t
    WHERE
        t.report = %(report)s::text
        AND t.filters = %(filters)s::jsonb
        AND (%(name)s::text = '' OR t."window" = %(name)s::text)
) AS r
WHERE r.place <= %(most)s::integer
ORDER BY r.window_name ASC, r.as_of ASC, r.told ASC
