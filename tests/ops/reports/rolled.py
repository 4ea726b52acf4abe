"""A table of events, reports on it that are kept by the day or hour, and what a refresh, a reading and a loop make."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import psycopg2
from django import forms
from django.db import connection

from ops.engine import parameters
from ops.engine import registry as jobs
from ops.engine import run as engine
from ops.engine.lifecycle import Options
from ops.models import Run
from ops.reports import Avg, Count, Derived, Filter, Max, Min, Report, Sum, compute
from ops.reports import registry as reports
from ops.reports.computing import Result

AS_OF = datetime(2026, 5, 19, 15, 30, tzinfo=UTC)
"""00:30 of the 20th in Seoul."""

TABLE = """
CREATE TABLE rolled_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz, day date, size bigint, small smallint,
    amount numeric(12, 3), kind text, place varchar(10)
);
CREATE INDEX rolled_event_at ON rolled_event (at) INCLUDE (size);
CREATE INDEX rolled_event_day ON rolled_event (day)
"""
INSERT = """
INSERT INTO rolled_event (at, day, size, small, amount, kind, place)
SELECT
    %(at)s::timestamptz + i * %(step)s::interval, (%(at)s::timestamptz + i * %(step)s::interval)::date, i, i %% 3,
    i / 8.0, (ARRAY['a', 'b', NULL])[1 + i %% 3], (ARRAY['here', 'there'])[1 + i %% 2]
FROM generate_series(0, %(rows)s - 1) AS i
"""


class Events(Report):
    """Every measure that can be added up, told apart by kind, filtered by place."""

    name = "events"
    source: Any = "rolled_event"
    time = "at"
    zone = "Asia/Seoul"
    windows = ("today", "yesterday", "last_7_days", "this_month", "last_30_days")
    measures = {
        "count": Count(),
        "sized": Count("size"),
        "total": Sum("size"),
        "small": Sum("t.small"),
        "money": Sum("amount"),
        "average": Avg("amount"),
        "mean": Avg("size"),
        "least": Min("amount"),
        "most": Max("size"),
        "last": Max("at"),
        "first_place": Min("place"),
        "big": Sum("size", where="size > 5"),
        "share": Derived("money / nullif(total, 0)"),
    }
    groups = {"kind": "t.kind"}
    filters = {
        "place": Filter("t.place", forms.CharField(required=False, empty_value=None)),
        "kind": Filter("t.kind", forms.CharField()),
        "at_least": Filter("t.size >= %(value)s", forms.IntegerField()),
    }
    where = "t.size IS DISTINCT FROM 13"
    rollup = "day"


class Plainest(Report):
    """No group, no filter, no condition."""

    name = "plainest"
    source: Any = "rolled_event"
    time = "at"
    zone = "Asia/Seoul"
    windows = ("today", "last_30_days")
    measures = {"count": Count(), "total": Sum("size")}
    rollup = "day"


class ByHour(Plainest):
    """The same by the hour."""

    name = "by_hour"
    rollup = "hour"


class ByDate(Plainest):
    """The same on a column of dates."""

    name = "by_date"
    time = "day"


def make() -> None:
    """Make the table of events, empty."""
    ask(TABLE)


def remove() -> None:
    """Remove the table, and what is kept of it."""
    for name in ask("SELECT report FROM ops_rollup WHERE source LIKE '%rolled%'"):
        ask("SELECT ops_rollup_remove(%s)", name[0])
    ask("DROP TABLE IF EXISTS rolled_event CASCADE")


def fill(rows: int, at: datetime = AS_OF, step: str = "-7 hours") -> None:
    """Insert so many events, one a step before the last."""
    with connection.cursor() as cursor:
        cursor.execute(INSERT, {"rows": rows, "at": at, "step": step})


def ask(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Execute a statement in the test database."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def registered(*kinds: type[Report]) -> Iterator[None]:
    """Let these be the reports that there are."""
    known = {kind.name: kind() for kind in kinds}
    with mock.patch.dict(reports._registry, known, clear=True):
        yield


def refresh(report: str = "", *, rebuild: bool = False, **more: Any) -> Run:
    """Refresh a rollup, or all; or build one from nothing."""
    job = jobs.find("ops.refresh_rollup")
    params = parameters.clean(job.params, {"report": report, "rebuild": rebuild}, "default")
    run, _ = engine.apply(job, params, Options(**more))
    assert run.state == Run.State.DONE
    return run


def touched(report: str) -> list[datetime | None]:
    """Return the buckets that a report's markers name."""
    found = ask("SELECT DISTINCT bucket FROM ops_rolluptouched WHERE report = %s ORDER BY bucket", report)
    return [row[0] for row in found]


def both(report: Report, **asked: Any) -> tuple[Result, Result]:
    """Return what the rollup says and what the table says."""
    asked = {"as_of": AS_OF, **asked}
    return compute(report, **asked), compute(report, **asked, use_rollup=False)


def assert_same(report: Report, *, uses: bool = True, **asked: Any) -> Result:
    """Assert that rollup and table say the same, to the last digit, and (`uses`) that the rollup was used."""
    ours, theirs = both(report, **asked)
    assert ours.source == f"rollup by {report.rollup}" if uses else ours.source.startswith("table: "), ours.source
    assert repr((ours.rows, ours.totals)) == repr((theirs.rows, theirs.totals))
    return ours


@contextmanager
def another() -> Iterator[Any]:
    """Open a connection of its own to the test database, past Django; what it has not committed is rolled back."""
    params = connection.get_connection_params()
    made = psycopg2.connect(
        **{name: params[name] for name in params if name in ("dbname", "user", "host", "port", "password")}
    )
    try:
        yield made
    finally:
        made.close()


def execute(other: Any, statement: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Execute a statement by another connection; nothing is committed by it."""
    with other.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []
