"""Compile a report to ONE statement: a scan of the source, bounded by its windows, with FILTER for each of them.

What a statement returns, in this order, whether it reads the source or a rollup of it:

- ``g<k>``: the value of the k-th group, in the order of `Asked.groups`. In a total, null unless the group is kept.
- ``is_total``: true for a total, false for a group. Never null.
- ``k<j>``: for the j-th measure the type, as text, of what it sums, where it is a `Sum`; else null. By this a sum of
  bigint, which is a numeric to the server, is made an int again.
- window after window ``n<i>``, where there is any group (`Asked.counted`): 0 where no row of the source is in the i-th
  window, else more; then ``m<i>_<j>``: the j-th measure of the report in that window.

There is a row for each group that has a row of the source between the earliest start and the latest end of all windows,
with values for all windows (0 or null in those where it has none), then the totals; both ordered by the groups, nulls
last. By ``n<i>`` a window leaves out the groups and kept totals that have no row in it: what it contains does not
depend on the windows that are asked for beside it. Without a group to tell apart (`Asked.details` is false) there are
only totals; where no group is kept, one total always, of an empty table too.

Whoever makes such rows otherwise (a rollup) brings a SELECT of ``g<k>``, ``is_total``, ``n<i>`` and ``m<i>_<j>`` of
those measures that are not `Derived`, and lets `finish` add the rest: kinds, derived measures and the order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.sql import SQL, Composable, Identifier, Placeholder

from ops.engine.shape import comma, table_ident
from ops.reports.declaring import Count, Derived, Distinct, Measure, Report, Sum
from ops.reports.windows import Window

VALUE = "%(value)s"
"""What stands for a filter's value where its expression is a condition itself."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a report, all of it resolved: every choice is one that the report has."""

    report: Report
    database: str
    as_of: datetime
    zone: ZoneInfo
    windows: tuple[Window, ...]
    filters: Mapping[str, Any]
    """Cleaned values; a list is any of them, None is null."""
    groups: tuple[str, ...]
    """What is told apart, those that a total keeps among them."""
    column: str
    """The column of the time."""
    by_date: bool
    """Whether that is a date, and no instant."""

    @property
    def kept(self) -> tuple[str, ...]:
        """Return the groups that totals keep."""
        return tuple(name for name in self.groups if name in (self.report.totals or ()))

    @property
    def details(self) -> bool:
        """Tell whether there are rows of groups beside the totals: those would be the same where all is kept."""
        return (self.report.totals is None and bool(self.groups)) or len(self.kept) < len(self.groups)

    @property
    def has_totals(self) -> bool:
        """Tell whether there are totals."""
        return self.report.totals is not None or not self.groups

    @property
    def counted(self) -> bool:
        """Tell whether there are groups, and so a count of rows for each window."""
        return bool(self.groups)

    def stretch(self, window: Window) -> tuple[date, date]:
        """Return a window's two ends as the time column compares with them: dates, or instants."""
        return (window.first, window.last) if self.by_date else (window.starts_at, window.ends_at)

    @property
    def bounds(self) -> tuple[date, date]:
        """Return the ends of the stretch that is scanned: from the earliest start to the latest end."""
        stretches = [self.stretch(window) for window in self.windows]
        return min(start for start, _ in stretches), max(end for _, end in stretches)


def statement(asked: Asked) -> tuple[Composable, dict[str, Any]]:
    """Return the one statement over the source, and its values."""
    return finish(asked, scan(asked)), values(asked)


def values(asked: Asked) -> dict[str, Any]:
    """Return what `scan` and `finish` name: since, until, starts_<i>, ends_<i>, zone, as_of and filter_<name>."""
    found: dict[str, Any] = {"zone": asked.zone.key, "as_of": asked.as_of}
    found["since"], found["until"] = asked.bounds
    for i, window in enumerate(asked.windows):
        found[f"starts_{i}"], found[f"ends_{i}"] = asked.stretch(window)
    for name, value in asked.filters.items():
        if isinstance(value, list) and VALUE not in asked.report.filters[name].expression:
            value = tuple(one for one in value if one is not None)
        found[f"filter_{name}"] = value
    return found


def expression(text: str) -> Composable:
    """Return SQL of a declaration as a part of a statement: only values known to all of them are values."""
    text = text.replace("%", "%%")
    for name in ("zone", "as_of"):
        text = text.replace(f"%%({name})s", f"%({name})s")
    return SQL(text)


def restriction(report: Report, name: str, value: Any) -> Composable:
    """Return the condition that a filter with this value is; the value is passed as filter_<name>."""
    text = report.filters[name].expression
    if VALUE in text:
        before, *rest = text.split(VALUE)
        parts = [expression(before)]
        for piece in rest:
            parts += [Placeholder(f"filter_{name}"), expression(piece)]
        return SQL("({})").format(SQL("").join(parts))
    return one_of(SQL("({})").format(expression(text)), name, value)


def one_of(told: Composable, name: str, value: Any) -> Composable:
    """Return the condition that an expression has a filter's value: one, null, or any of a list of such."""
    given = value if isinstance(value, list) else [value]
    conditions: list[Composable] = []
    if any(one is not None for one in given):  # an empty IN () is no SQL, and null is in none
        operator = SQL("{} IN {}" if isinstance(value, list) else "{} = {}")
        conditions.append(operator.format(told, Placeholder(f"filter_{name}")))
    if None in given:
        conditions.append(SQL("{} IS NULL").format(told))
    if len(conditions) > 1:
        return SQL("({})").format(SQL(" OR ").join(conditions))
    return conditions[0] if conditions else SQL("false")


def origin(report: Report) -> Composable:
    """Return what follows FROM: the source as t, and what is joined to it."""
    source = report.source
    if isinstance(source, str):
        name: Composable = Identifier(*(part.replace("%", "%%") for part in source.split(".", 1)))
    else:
        name = table_ident(source._meta.db_table)
    return SQL("{} AS t {}" if report.joins else "{} AS t").format(name, expression(report.joins))


def aggregate(measure: Measure, condition: Composable | None) -> Composable:
    """Return a measure over the rows of a condition (all, if None), and those of its own `where`."""
    conditions = [] if condition is None else [condition]
    if measure.where:
        conditions.append(SQL("({})").format(expression(measure.where)))
    call = expression(measure.call)
    if conditions:
        call = SQL("{} FILTER (WHERE {})").format(call, SQL(" AND ").join(conditions))
    if measure.zero and not isinstance(measure, Count | Distinct):  # those are 0 by themselves
        return SQL("coalesce({}, '0')").format(call)  # of the type of the sum: an interval, too, has such a zero
    return call


def scan(asked: Asked) -> Composable:
    """Return the SELECT over the source: groups, is_total and the measures that aggregate, for each window."""
    report = asked.report
    time = SQL("t.{}").format(Identifier(asked.column.replace("%", "%%")))
    groups: list[Composable] = [SQL("ops_g.{}").format(Identifier(f"ops_g{k}")) for k in range(len(asked.groups))]
    outputs: list[Composable] = [SQL("{} AS {}").format(group, Identifier(f"g{k}")) for k, group in enumerate(groups)]
    outputs.append(SQL("{} AS is_total").format(is_total(asked, groups)))
    since, until = asked.bounds
    for i, window in enumerate(asked.windows):
        start, end = asked.stretch(window)
        # What WHERE says already is not said again: it is looked at for every row.
        edges = [SQL("{} >= {}").format(time, Placeholder(f"starts_{i}"))] if start != since else []
        edges += [SQL("{} < {}").format(time, Placeholder(f"ends_{i}"))] if end != until else []
        condition = SQL(" AND ").join(edges) if edges else None
        if asked.counted:
            outputs.append(SQL("{} AS {}").format(aggregate(Count(), condition), Identifier(f"n{i}")))
        for j, measure in enumerate(report.measures.values()):
            if not isinstance(measure, Derived):
                outputs.append(SQL("{} AS {}").format(aggregate(measure, condition), Identifier(f"m{i}_{j}")))
    source = origin(report)
    if groups:
        # Each is computed once, and grouped by its name: a constant is a group, too, and 1 is no position.
        named: list[Composable] = [
            SQL("({}) AS {}").format(expression(report.groups[name]), Identifier(f"ops_g{k}"))
            for k, name in enumerate(asked.groups)
        ]
        source = SQL("{} CROSS JOIN LATERAL (SELECT {}) AS ops_g").format(source, comma(named))
    conditions: list[Composable] = [
        SQL("{0} >= {1} AND {0} < {2}").format(time, Placeholder("since"), Placeholder("until"))
    ]
    if report.where:
        conditions.append(SQL("({})").format(expression(report.where)))
    conditions += [restriction(report, name, value) for name, value in asked.filters.items()]
    return SQL("SELECT {} FROM {} WHERE {}{}").format(
        comma(outputs), source, SQL(" AND ").join(conditions), grouping(asked, groups)
    )


def grouping(asked: Asked, groups: Sequence[Composable]) -> Composable:
    """Return GROUP BY for these expressions of the groups, with a set for the totals beside the one of the groups."""
    kept = [group for name, group in zip(asked.groups, groups, strict=True) if name in asked.kept]
    sets: list[Composable] = [SQL("({})").format(comma(groups))] if asked.details else []
    sets += [SQL("({})").format(comma(kept))] if asked.has_totals else []
    if not groups:
        return SQL("")
    return SQL(" GROUP BY GROUPING SETS ({})").format(comma(sets))


def is_total(asked: Asked, groups: Sequence[Composable]) -> Composable:
    """Return what tells a total from a group, by these expressions of the groups."""
    if not asked.details or not asked.has_totals:
        return SQL("true" if asked.has_totals else "false")
    told = [group for name, group in zip(asked.groups, groups, strict=True) if name not in asked.kept]
    return SQL("(grouping({}) <> 0)").format(comma(told))


def finish(asked: Asked, inner: Composable) -> Composable:
    """Return the whole statement around a SELECT of groups, is_total and the measures that aggregate."""
    groups = [SQL("ops_r.{}").format(Identifier(f"g{k}")) for k in range(len(asked.groups))]
    outputs = [*groups, SQL("ops_r.is_total"), *_kinds(asked)]
    for i in range(len(asked.windows)):
        if asked.counted:
            outputs.append(SQL("ops_r.{}").format(Identifier(f"n{i}")))
        for j, (name, measure) in enumerate(asked.report.measures.items()):
            output = Identifier(f"m{i}_{j}")
            if isinstance(measure, Derived):
                outputs.append(SQL("({}) AS {}").format(_derived(asked.report.measures, name, i), output))
            else:
                outputs.append(SQL("ops_r.{}").format(output))
    made = SQL("SELECT {} FROM ({}) AS ops_r").format(comma(outputs), inner)
    return SQL("{} ORDER BY {}").format(made, comma([SQL("ops_r.is_total"), *groups])) if groups else made


def _kinds(asked: Asked) -> Iterator[Composable]:
    """Yield the types of what is summed. No row is read for it: a subquery of no row still has a type."""
    for j, measure in enumerate(asked.report.measures.values()):
        kind: Composable = SQL("NULL")
        if isinstance(measure, Sum):
            kind = SQL("pg_typeof((SELECT {} FROM {} WHERE false))").format(
                expression(measure.expression), origin(asked.report)
            )
        yield SQL("{}::text AS {}").format(kind, Identifier(f"k{j}"))


def _derived(measures: Mapping[str, Measure], wanted: str, window: int) -> Composable:
    """Return a SELECT of a derived measure over the others of its window, by their names.

    As a subquery for each: joined to the rest (LATERAL), 70 windows took the server four seconds to plan.
    """
    base: list[Composable] = [
        SQL("ops_r.{} AS {}").format(Identifier(f"m{window}_{j}"), Identifier(name))
        for j, (name, measure) in enumerate(measures.items())
        if not isinstance(measure, Derived)
    ]
    inner: Composable = SQL("SELECT {}").format(comma(base))
    for name, measure in measures.items():
        if isinstance(measure, Derived):
            made = expression(measure.expression)
            if name == wanted:
                return SQL("SELECT ({}) FROM ({}) AS ops_m").format(made, inner)
            inner = SQL("SELECT ops_m.*, ({}) AS {} FROM ({}) AS ops_m").format(made, Identifier(name), inner)
    raise KeyError(wanted)
