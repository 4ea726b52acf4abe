"""Compose the statement that answers a report from its rollup.

It is as exact as the one over the table, for it reads what was touched from there; see rollup_compiler.py.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

from psycopg2.sql import SQL, Composable, Identifier, Placeholder

from ops.engine.shape import comma
from ops.reports import compiler
from ops.reports.compiler import Asked
from ops.reports.declaring import Avg, Derived, Measure
from ops.reports.rollup_compiler import aggregated, between, column, summed, time_of, told_apart, typed, values
from ops.reports.rollup_kept import Kept


def level(kept: Kept, asked: Asked) -> int:
    """Return the level that answers: the one with fewer rows, unless a filter needs what only the other tells apart."""
    wanted = {kept.report.filters[name].expression for name in asked.filters}
    return 1 if wanted & set(kept.filtered) else 0


def reading(kept: Kept, asked: Asked, types: Sequence[str]) -> tuple[Composable, dict[str, Any]]:
    """Return the statement that answers from the rollup, and its values; compiler.py says what it returns.

    Buckets that were touched are read from the source, by its index; all, should the rollup be of no use by now.
    """
    groups = [SQL("ops_u.{}").format(column("g", k)) for k in range(len(asked.groups))]
    outputs = [SQL("{} AS {}").format(group, column("g", k)) for k, group in enumerate(groups)]
    outputs.append(SQL("{} AS is_total").format(compiler.is_total(asked, groups)))
    for i in range(len(asked.windows)):
        within = SQL("(WHERE ops_u.bucket >= {} AND ops_u.bucket < {})").format(
            Placeholder(f"rollup_starts_{i}"), Placeholder(f"rollup_ends_{i}")
        )
        if asked.counted:
            # Whatever is kept of a bucket, or read of it, is of one row of the source at least.
            outputs.append(SQL("count(*) FILTER {} AS {}").format(within, column("n", i)))
        for j, (name, measure) in enumerate(asked.report.measures.items()):
            if not isinstance(measure, Derived):
                merged = _merged(kept, kept.measures[name], measure, within, types)
                outputs.append(SQL("{} AS {}").format(merged, Identifier(f"m{i}_{j}")))
    inner = SQL("WITH {}, {}, ops_u AS ({} UNION ALL {} UNION ALL {}) SELECT {} FROM ops_u{}").format(
        _WHOLE,
        _TOUCHED,
        _kept_rows(kept, asked, types),
        _touched_rows(kept, asked),
        _whole_rows(kept, asked),
        comma(outputs),
        compiler.grouping(asked, groups),
    )
    return compiler.finish(asked, inner), {**compiler.values(asked), **values(kept), **_edges(asked, types)}


# Apart from what is made of it, or the server would ask for each of that anew.
_WHOLE = SQL(
    "ops_trouble AS MATERIALIZED (SELECT ops_rollup_trouble(%(rollup)s, %(rollup_digest)s) <> '' OR NOT EXISTS ("
    "SELECT FROM ops_rollup AS r WHERE r.report = %(rollup)s AND r.types = %(rollup_types)s::text[]) AS is_there"
    "), ops_whole AS MATERIALIZED (SELECT w.is_there AS is_whole, "
    "CASE WHEN w.is_there THEN %(rollup_since)s END AS since, "
    "CASE WHEN w.is_there THEN %(rollup_until)s END AS until FROM ops_trouble AS w)"
)
_TOUCHED = SQL(
    "ops_touched AS MATERIALIZED (SELECT m.bucket, max(m.ends_at) AS ends_at FROM ops_rolluptouched AS m "
    "WHERE m.report = %(rollup)s AND m.bucket >= %(rollup_since)s AND m.bucket < %(rollup_until)s GROUP BY m.bucket)"
)


def edges(asked: Asked) -> list[Any]:
    """Return the ends of all windows, each once and in order, as instants; of dates their midnights in UTC."""
    return sorted({edge for i in range(len(asked.windows)) for edge in _stretch(asked, i)})


def _stretch(asked: Asked, window: int) -> tuple[Any, ...]:
    ends = asked.stretch(asked.windows[window])
    return tuple(datetime.combine(day, time(), UTC) for day in ends) if asked.by_date else ends


def _edges(asked: Asked, types: Sequence[str]) -> dict[str, Any]:
    all_edges = edges(asked)
    found = {"rollup_since": all_edges[0], "rollup_until": all_edges[-1], "rollup_edges": all_edges}
    for i in range(len(asked.windows)):
        found[f"rollup_starts_{i}"], found[f"rollup_ends_{i}"] = _stretch(asked, i)
    return {**found, "rollup_types": list(types)}


def _merged(
    kept: Kept, places: tuple[int, ...], measure: Measure, within: Composable, types: Sequence[str]
) -> Composable:
    """Return a measure of one window from the parts of its buckets."""
    calls = [
        SQL("{}(ops_u.{}) FILTER {}").format(SQL(kept.parts[place].merge), column("p", place), within)
        for place in places
    ]
    if isinstance(measure, Avg):
        return SQL("({} / nullif({}, 0))").format(*calls)
    if measure.zero:
        kind = typed(types[len(kept.expressions) + places[0]])
        return SQL("coalesce({}, 0)::{}").format(calls[0], kind)
    return calls[0]


def _kept_rows(kept: Kept, asked: Asked, types: Sequence[str]) -> Composable:
    """Return the SELECT of the rollup's rows of buckets that were not touched."""
    place = {text: k for k, text in enumerate(kept.expressions)}

    def told(text: str) -> Composable:
        return SQL("(r.groups[{}])::{}").format(SQL(str(place[text] + 1)), typed(types[place[text]]))

    outputs: list[Composable] = [SQL("r.bucket AS bucket")]
    outputs += [
        SQL("{} AS {}").format(told(asked.report.groups[name]), column("g", k)) for k, name in enumerate(asked.groups)
    ]
    outputs += [
        SQL("(r.sums[{}])::{} AS {}").format(SQL(str(i + 1)), typed(types[len(kept.expressions) + i]), column("p", i))
        for i in range(len(kept.parts))
    ]
    conditions: list[Composable] = [
        SQL("r.report = %(rollup)s AND r.level = {}").format(SQL(str(level(kept, asked)))),
        SQL("r.bucket >= %(rollup_since)s AND r.bucket < %(rollup_until)s"),
        SQL("NOT (SELECT w.is_whole FROM ops_whole AS w)"),
        SQL("NOT EXISTS (SELECT FROM ops_touched AS m WHERE m.bucket = r.bucket)"),
    ]
    conditions += [
        compiler.one_of(told(asked.report.filters[name].expression), name, value)
        for name, value in asked.filters.items()
    ]
    return SQL("SELECT {} FROM ops_rolluprow AS r WHERE {}").format(comma(outputs), SQL(" AND ").join(conditions))


def _asked(kept: Kept, asked: Asked) -> tuple[list[tuple[str, Composable]], list[Composable], list[Composable]]:
    """Return what is asked of the source: what to tell apart, the conditions, and the columns."""
    told = [(f"g{k}", compiler.expression(asked.report.groups[name])) for k, name in enumerate(asked.groups)]
    conditions = [compiler.restriction(asked.report, name, value) for name, value in asked.filters.items()]
    outputs: list[Composable] = [SQL("{} AS {}").format(told_apart(name), Identifier(name)) for name, _ in told]
    outputs += [SQL("{} AS {}").format(aggregated(part), column("p", i)) for i, part in enumerate(kept.parts)]
    return told, conditions, outputs


def _touched_rows(kept: Kept, asked: Asked) -> Composable:
    """Return the SELECT of the source's rows of touched buckets, bucket by bucket."""
    told, conditions, outputs = _asked(kept, asked)
    conditions.insert(0, between(kept, SQL("ops_touched.bucket"), SQL("ops_touched.ends_at")))
    names = [*(Identifier(name) for name, _ in told), *(column("p", i) for i in range(len(kept.parts)))]
    return SQL(
        "SELECT ops_touched.bucket, {} FROM ops_touched CROSS JOIN LATERAL ({}) AS f "
        "WHERE NOT (SELECT w.is_whole FROM ops_whole AS w)"
    ).format(comma([SQL("f.{}").format(name) for name in names]), summed(kept, told, conditions, outputs))


def _whole_rows(kept: Kept, asked: Asked) -> Composable:
    """Return the SELECT of all that is asked from the source, which has no row as long as the rollup is of use."""
    told, conditions, outputs = _asked(kept, asked)
    instant = SQL("({}::timestamp AT TIME ZONE 'UTC')").format(time_of(kept)) if kept.by_date else time_of(kept)
    # A stretch between two ends of windows counts as one bucket.
    bucket = SQL("(%(rollup_edges)s::timestamptz[])[width_bucket({}, %(rollup_edges)s::timestamptz[])]").format(instant)
    since, until = (SQL("(SELECT w.{} FROM ops_whole AS w)").format(Identifier(edge)) for edge in ("since", "until"))
    conditions = [SQL("(SELECT w.is_whole FROM ops_whole AS w)"), between(kept, since, until), *conditions]
    outputs.insert(0, SQL("{} AS bucket").format(told_apart("ops_b")))
    return summed(kept, [("ops_b", bucket), *told], conditions, outputs)
