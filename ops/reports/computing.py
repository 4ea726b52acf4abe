"""Compute a report: one statement, its rows as Python has them, and how they look as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections, transaction
from psycopg2.sql import Composable

from ops.engine.session import STATEMENT_TIMEOUT, Session, in_words
from ops.reports import compiler
from ops.reports.asking import as_kept, ask
from ops.reports.compiler import Asked
from ops.reports.declaring import WHOLE, Report
from ops.reports.windows import Window

_MEND = "correct the report's declaration, or run 'manage.py migrate'"
ADVICE = {
    STATEMENT_TIMEOUT: "ask for shorter windows, allow it more time, give the report a rollup, or see whether "
    "'manage.py stats --advise' misses an index",
    "42P01": _MEND,
    "42703": _MEND,
    "42883": _MEND,
    "42601": "correct the SQL of the report's declaration",
    "42702": "write the column with its table in the report's declaration: t is the source",
    "22003": "cast it to numeric in the report's declaration",
    "22012": "write nullif(.., 0) around what is divided by in the report's declaration",
    "42804": "correct the types in the report's declaration",
    "22P02": "correct the filter's value, or let its form field refuse such values",
    "22023": "name a zone that this server knows (SELECT name FROM pg_timezone_names)",
    "": "see that the server runs and that DATABASES (DATABASE_URL) names it, then ask again",
}
"""What to do about errors of a report's statement, by SQLSTATE."""


@dataclass(frozen=True)
class Result:
    """What a report came to, window by window.

    `rows` has an entry {"group": {..}, "values": {..}} for each group that has a row of the source in the window, in
    their order: none where there is no group to tell apart. `totals` has one for the total, whose group is {}, always;
    or for each value of the groups that totals keep, if that has a row in the window. A report without groups has only
    totals, one that declares `totals = None` only rows. Values are int where they are whole by their type, Decimal or
    float where not, and None where there is no row to tell from.
    """

    report: str
    as_of: datetime
    zone: str
    filters: dict[str, Any]
    source: str
    """table; rollup by day (or hour); or "table: " and why the rollup that there is could not be used."""
    windows: tuple[Window, ...]
    measures: tuple[str, ...]
    groups: tuple[str, ...]
    rows: dict[str, list[dict[str, Any]]]
    totals: dict[str, list[dict[str, Any]]]
    kept: tuple[str, ...] = field(default=())
    """The groups that totals keep."""

    def as_json(self) -> dict[str, Any]:
        """Return {report: {window: {..}}}: of each window its measures, where it has one total.

        Where there are groups to tell apart it has {"groups": [{group and measures}, ..]} beside them, and where the
        total keeps a group {"totals": [..]}, of the same form, instead of them.
        """
        return {self.report: {window.name: self._window(window.name) for window in self.windows}}

    def _window(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if len(self.kept) < len(self.groups):
            told["groups"] = [{**row["group"], **row["values"]} for row in self.rows[name]]
        if self.kept:
            told["totals"] = [{**row["group"], **row["values"]} for row in self.totals[name]]
        elif self.totals[name]:
            told |= self.totals[name][0]["values"]
        return told


def compute(
    report: Report,
    *,
    as_of: datetime | None = None,
    database: str = DEFAULT_DB_ALIAS,
    windows: Sequence[str] | None = None,
    zone: str = "",
    filters: Mapping[str, Any] | None = None,
    groups: Sequence[str] | None = None,
    use_rollup: bool = True,
    timeout: int = 0,
) -> Result:
    """Compute a report as of an instant (by default now), in one statement.

    What is left out is as the report declares it; see `ask` for what is raised for what it doesn't have. A `timeout` in
    milliseconds makes it a transaction of its own that can only read and ends in time, unless one is open already.
    Raises DatabaseTrouble, in a sentence.
    """
    asked = ask(report, as_of=as_of, database=database, windows=windows, zone=zone, filters=filters, groups=groups)
    made, values, source = _made(asked, use_rollup=use_rollup)
    try:
        with _reading(database, timeout):
            found = Session(database).execute(made, values)
    except Error as exc:
        raise in_words(exc, f"Computing report {report.name!r}", ADVICE) from exc
    return _result(asked, source, found)


def statement(
    report: Report,
    *,
    as_of: datetime | None = None,
    database: str = DEFAULT_DB_ALIAS,
    windows: Sequence[str] | None = None,
    zone: str = "",
    filters: Mapping[str, Any] | None = None,
    groups: Sequence[str] | None = None,
    use_rollup: bool = True,
) -> tuple[Composable, dict[str, Any]]:
    """Return the one statement that `compute` executes, and its values; compiler.py says what it returns."""
    asked = ask(report, as_of=as_of, database=database, windows=windows, zone=zone, filters=filters, groups=groups)
    made, values, _ = _made(asked, use_rollup=use_rollup)
    return made, values


def _made(asked: Asked, *, use_rollup: bool) -> tuple[Composable, dict[str, Any], str]:
    """Return the statement, its values, and what it reads, in words: the rollup where there is one and it is usable."""
    report = asked.report
    if not report.rollup or not use_rollup:
        return *compiler.statement(asked), "table"
    from ops.reports import rollups

    if why_not := rollups.usable(asked):
        return *compiler.statement(asked), f"table: {why_not}"
    return *rollups.statement(asked), f"rollup by {report.rollup}"


@contextmanager
def _reading(database: str, timeout: int) -> Iterator[None]:
    """Let what follows only read, and for so long; 0, and within another's transaction: as it is."""
    if not timeout or connections[database].in_atomic_block:
        yield
        return
    with transaction.atomic(using=database):
        Session(database).execute("ops/set_reading.sql", {"timeout": f"{timeout}ms"})
        yield


def _result(asked: Asked, source: str, found: list[tuple[Any, ...]]) -> Result:
    names = tuple(asked.report.measures)
    rows: dict[str, list[dict[str, Any]]] = {window.name: [] for window in asked.windows}
    totals: dict[str, list[dict[str, Any]]] = {window.name: [] for window in asked.windows}
    width = len(asked.groups)
    for row in found:
        is_total, kinds = row[width], row[width + 1 : width + 1 + len(names)]
        values = iter(row[width + 1 + len(names) :])
        group = {
            name: value
            for name, value in zip(asked.groups, row[:width], strict=True)
            if not is_total or name in asked.kept
        }
        for window in asked.windows:
            is_there = not asked.counted or next(values) > 0 or not group
            own = {name: _number(next(values), kind) for name, kind in zip(names, kinds, strict=True)}
            if is_there:
                (totals if is_total else rows)[window.name].append({"group": dict(group), "values": own})
    return Result(
        report=asked.report.name,
        as_of=asked.as_of,
        zone=asked.zone.key,
        filters=as_kept(asked.filters),
        source=source,
        windows=asked.windows,
        measures=names,
        groups=asked.groups,
        rows=rows,
        totals=totals,
        kept=asked.kept,
    )


def _number(value: Any, kind: str | None) -> Any:
    return int(value) if isinstance(value, Decimal) and kind in WHOLE else value
