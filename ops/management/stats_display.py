"""What people and programs read of a report: tables with bars at a terminal, plain text elsewhere, JSON, CSV."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ops.management import display
from ops.management.stats_table import Line, chart, spark
from ops.reports import Report, asking, telling
from ops.reports.history import told_filters

if TYPE_CHECKING:
    from ops.reports.advising import Advice
    from ops.reports.computing import Result
    from ops.reports.history import History, Saved

SHOWN = 50
"""Groups of a window that are shown; more are for a program, or a picture."""

DAY = timedelta(days=1)


def report_document(report: Report) -> dict[str, Any]:
    """Return what a report is, as JSON has it."""
    return {
        "report": report.name,
        "does": report.summary,
        "zone": asking.zone_of(report).key,
        "windows": list(report.windows),
        "measures": list(report.measures),
        "groups": list(report.groups),
        "filters": list(report.filters),
        "rollup": report.rollup,
    }


def listed(documents: Sequence[dict[str, Any]], *, terminal: bool) -> str:
    """Return the reports there are, and what may be asked of each."""
    if not documents:
        return "There is no report: write one in the module 'reports' of an app; docs/reports.md shows how."
    told = []
    for one in documents:
        lines = [
            (f"  {name}", ", ".join(one[name])) for name in ("windows", "measures", "groups", "filters") if one[name]
        ]
        head = [display.heading(one["report"], terminal=terminal)]
        head += [display.wrapped(one["does"], terminal=terminal)] if one["does"] else []
        told.append("\n".join([*head, display.facts(lines, terminal=terminal)]))
    return "\n\n".join(told)


def document(result: "Result") -> dict[str, Any]:
    """Return a result as --json prints it: `Result.as_json`, and beside it as of when, of which days, from what."""
    zone = ZoneInfo(result.zone)
    return {
        **telling.exact(result.as_json()),
        "as_of": result.as_of.astimezone(zone).isoformat(),
        "zone": result.zone,
        "source": result.source,
        "filters": result.filters,
        "windows": {
            window.name: {
                "starts_at": window.starts_at.astimezone(zone).isoformat(),
                "ends_at": window.ends_at.astimezone(zone).isoformat(),
            }
            for window in result.windows
        },
    }


def as_csv(result: "Result") -> str:
    """Return a row for each window and group, values exact; totals only where there are no groups to tell apart."""
    zone = ZoneInfo(result.zone)
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["window", "starts_at", "ends_at", *result.groups, *result.measures])
    grouped = _is_grouped(result)
    for window in result.windows:
        edges = [window.starts_at.astimezone(zone).isoformat(), window.ends_at.astimezone(zone).isoformat()]
        for row in (result.rows if grouped else result.totals)[window.name]:
            group = [row["group"].get(name) for name in result.groups]
            values = [row["values"][name] for name in result.measures]
            writer.writerow([window.name, *edges, *map(telling.exact, group), *map(telling.exact, values)])
    return out.getvalue()


def history_as_csv(history: "History") -> str:
    """Return a row for each window, instant and group."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["window", "as_of", *history.groups, *history.measures])
    for name, saved in history.windows.items():
        for one in saved:
            at = one.as_of.astimezone(ZoneInfo(history.zone)).isoformat()
            for row in one.rows or one.totals:
                group = [row["group"].get(key) for key in history.groups]
                values = [row["values"].get(key) for key in history.measures]
                writer.writerow([name, at, *map(telling.exact, group), *map(telling.exact, values)])
    return out.getvalue()


def _is_grouped(result: "Result") -> bool:
    return set(result.groups) != set(result.kept)


def shown(result: "Result", *, terminal: bool) -> str:
    """Return a result as tables: windows as rows; or, where there are groups, those as rows of each window."""
    zone = ZoneInfo(result.zone)
    title = f"{result.report} as of {telling.instant(result.as_of, result.zone)}, days of {result.zone}"
    under = []
    if result.filters:
        under.append(display.wrapped(f"Only {told_filters(result.filters)}.", terminal=terminal))
    if result.source != "table":
        under.append(display.wrapped(f"From the {result.source}.", terminal=terminal))
    told = [display.heading(title, terminal=terminal), *under]
    if not _is_grouped(result):
        lines = [
            Line(
                (window.name, *_labels(row["group"], result.kept)),
                _values(row, result.measures),
                days=_days(window),
                kind=_kind(row, result.kept),
            )
            for window in result.windows
            for row in result.totals[window.name]
        ]
        labels = ("window", *result.kept)
        told.append(chart(labels, result.measures, lines, zone=zone, terminal=terminal))
        return "\n".join(told)
    for window in result.windows:
        told += ["", f"{window.name}, {_days(window)}", *_of_window(result, window.name, zone, terminal=terminal)]
    return "\n".join(told)


def _of_window(result: "Result", name: str, zone: ZoneInfo, *, terminal: bool) -> list[str]:
    """Return the groups of a window, the largest where they are many, and its totals."""
    rows, notes = _largest(result.rows[name], result.measures)
    lines = [
        Line(_labels(row["group"], result.groups), _values(row, result.measures), kind=_kind(row, result.kept))
        for row in rows
    ]
    for row in result.totals[name]:
        label = [telling.group({key: row["group"][key]}) if key in row["group"] else "" for key in result.groups]
        label[next((i for i, key in enumerate(result.groups) if key not in row["group"]), 0)] = "total"
        values = _values(row, result.measures)
        lines.append(Line(tuple(label), values, total=True, kind=_kind(row, result.kept)))
    if not lines:
        return ["No rows."]
    return [chart(result.groups, result.measures, lines, zone=zone, terminal=terminal), *notes]


def _kind(row: dict[str, Any], kept: Sequence[str]) -> object:
    return tuple(telling.key(row["group"].get(name)) for name in kept)


def _labels(group: dict[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(telling.group({name: group.get(name)}) for name in names)


def _values(row: dict[str, Any], measures: Sequence[str]) -> tuple[object, ...]:
    return tuple(row["values"].get(name) for name in measures)


def _days(window: Any) -> str:
    """Return a window's days as people say them, the last one included."""
    last = window.last - DAY
    return f"{window.first}" if last == window.first else f"{window.first} to {last}"


def _largest(rows: list[dict[str, Any]], measures: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows with the largest first measure where there are many, in their order, and a line that says so."""
    if len(rows) <= SHOWN:
        return rows, []
    by = measures[0]
    ranked = sorted(range(len(rows)), key=lambda i: -telling.size(rows[i]["values"][by]))
    kept = sorted(ranked[:SHOWN])
    return [rows[i] for i in kept], [f"The {SHOWN} largest by {by} of {len(rows):,}: --csv and --json have them."]


def history_shown(history: "History", *, terminal: bool) -> str:
    """Return the saved results of each window, one instant below the other, with the change since the one before."""
    zone = ZoneInfo(history.zone)
    told = []
    for name, saved in history.windows.items():
        title = f"{history.report}, {name}: saved as of {display.count(len(saved), 'instant')}, days of {history.zone}"
        told.append(display.heading(title, terminal=terminal))
        if history.filters:
            told.append(f"Only {told_filters(history.filters)}.")
        told += _over_time(history, saved, zone, terminal=terminal)
        told.append("")
    return "\n".join(told).rstrip()


@dataclass(frozen=True)
class _Point:
    as_of: datetime
    values: dict[str, object]


def _over_time(history: "History", saved: Sequence["Saved"], zone: ZoneInfo, *, terminal: bool) -> list[str]:
    totals = any(one.totals for one in saved)
    series: dict[str, list[_Point]] = {}
    for one in saved:
        for row in one.totals if totals else one.rows:
            series.setdefault(telling.group(row["group"]), []).append(_Point(one.as_of, row["values"]))
    told: list[str] = []
    for label, points in list(series.items())[:SHOWN]:
        if told:
            told.append("")
        lines = [
            Line((f"{point.as_of.astimezone(zone):%Y-%m-%d %H:%M}",), tuple(map(point.values.get, history.measures)))
            for point in points
        ]
        told.append(
            chart(
                (f"as of, {label}" if label else "as of",),
                history.measures,
                lines,
                zone=zone,
                terminal=terminal,
                changes=True,
            )
        )
        if terminal and len(points) > 1:
            for measure in history.measures:
                if line := spark([point.values.get(measure) for point in points]):
                    told.append(f"{measure}  {line}")
    if len(series) > SHOWN:
        told.append(f"The first {SHOWN} groups of {len(series):,}: --csv and --json have all.")
    if totals and any(one.rows for one in saved):
        told.append("These are the totals; --csv and --json have the groups.")
    return told


def advice_shown(advice: "Advice", *, terminal: bool) -> str:
    """Return which index serves a report, or the statement that makes the one that it lacks."""
    from ops.reports.advising import quoted_where_needed

    read = ", ".join(map(quoted_where_needed, advice.reads)) or "nothing but rows"
    where = f" and {', '.join(advice.equality)}" if advice.equality else ""
    found = f"{advice.report} finds rows of {advice.relation} by {advice.time}{where}, and reads {read}."
    told = [display.wrapped(text, terminal=terminal) for text in (found, *advice.notes)]
    if advice.statement:
        told += ["", advice.statement]
    if advice.model_index:
        told += ["", "In the model's Meta.indexes, for a migration with AddIndexConcurrently:", advice.model_index]
    return "\n".join(told)
