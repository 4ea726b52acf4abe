-- The functions, procedures and aggregates of some schemas; the server writes no definition of an aggregate.
-- params: schemas
-- returns: kind, object_, schema_, name, args, form, definition_, returns_, language_, comment_
SELECT
    'function' AS kind, p.oid::bigint AS object_, n.nspname::text AS schema_, p.proname::text AS name,
    oidvectortypes(p.proargtypes) AS args,
    CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS form,
    CASE
        WHEN p.prokind <> 'a' THEN btrim(pg_get_functiondef(p.oid), E' \n')
        ELSE concat(
            'CREATE AGGREGATE ', quote_ident(n.nspname), '.', quote_ident(p.proname),
            '(', coalesce(nullif(pg_get_function_arguments(p.oid), ''), '*'), ') (',
            'SFUNC = ', a.aggtransfn::text, ', STYPE = ', format_type(a.aggtranstype, NULL),
            ', SSPACE = ' || nullif(a.aggtransspace, 0),
            ', FINALFUNC = ' || nullif(a.aggfinalfn::oid, 0)::regproc::text,
            CASE WHEN a.aggfinalextra THEN ', FINALFUNC_EXTRA' END,
            CASE WHEN a.aggfinalfn <> 0 THEN ', FINALFUNC_MODIFY = ' END,
            CASE
                WHEN a.aggfinalfn <> 0
                    THEN CASE a.aggfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END
            END,
            ', COMBINEFUNC = ' || nullif(a.aggcombinefn::oid, 0)::regproc::text,
            ', SERIALFUNC = ' || nullif(a.aggserialfn::oid, 0)::regproc::text,
            ', DESERIALFUNC = ' || nullif(a.aggdeserialfn::oid, 0)::regproc::text,
            ', INITCOND = ' || quote_literal(a.agginitval),
            ', MSFUNC = ' || nullif(a.aggmtransfn::oid, 0)::regproc::text,
            ', MINVFUNC = ' || nullif(a.aggminvtransfn::oid, 0)::regproc::text,
            ', MSTYPE = ' || CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END,
            ', MFINALFUNC = ' || nullif(a.aggmfinalfn::oid, 0)::regproc::text,
            ', MINITCOND = ' || quote_literal(a.aggminitval),
            ', SORTOP = ' || CASE
                WHEN a.aggsortop <> 0
                    THEN (
                        SELECT 'OPERATOR(' || quote_ident(y.nspname) || '.' || x.oprname || ')'
                        FROM pg_operator AS x
                        INNER JOIN pg_namespace AS y ON y.oid = x.oprnamespace
                        WHERE x.oid = a.aggsortop
                    )
            END,
            ', PARALLEL = ', CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' ELSE 'UNSAFE' END,
            CASE WHEN a.aggkind = 'h' THEN ', HYPOTHETICAL' END,
            ')'
        )
    END AS definition_,
    pg_get_function_result(p.oid) AS returns_,
    g.lanname::text AS language_,
    o.description AS comment_
FROM pg_proc AS p
INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
INNER JOIN pg_language AS g ON g.oid = p.prolang
LEFT JOIN pg_aggregate AS a ON a.aggfnoid = p.oid
LEFT JOIN pg_description AS o ON o.classoid = 'pg_proc'::regclass AND o.objoid = p.oid AND o.objsubid = 0
WHERE
    n.nspname = any(%(schemas)s::text[])
    AND p.proname !~ '^ops_repair'
    -- What comes and goes with something else: the constructors of a range, say.
    AND NOT EXISTS (
        SELECT 1 FROM pg_depend AS d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i')
    )
ORDER BY n.nspname ASC, p.proname ASC, args ASC
