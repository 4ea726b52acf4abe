"""Windows over one table: eight queries, four, one without a bound, one bounded by hand, ours, and ours by rollup.

Ten million uploads over 400 days, the index that the report's own `--advise` asks for, all of it in memory, the
visibility map set. Every contender answers the same question from Python over the same connection, and all must agree.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management import call_command
from django.db import connection
from psycopg2 import sql

from ops import clock
from ops.management import display
from ops.reports import compute, find
from ops.reports.windows import Window, resolve

ASKED = ("today", "this_week", "this_month", "last_30_days")
SUMS = ("count(*)", "coalesce(sum(size), 0)")
DAYS = 400


@dataclass
class Tried:
    """A contender and the seconds of each try."""

    name: str
    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def fill(events: int, as_of: datetime) -> None:
    """Make so many uploads, spread over the days before, as they come: in the order of their time, nearly."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE billing_upload RESTART IDENTITY")
        cursor.execute("DROP INDEX IF EXISTS billing_upload_windows")
        cursor.execute(
            "INSERT INTO billing_upload (name, size, uploaded_at) SELECT 'file ' || i, (i::bigint * 7919) %% 10000019, "
            "%(upto)s::timestamptz - (%(rows)s - i) * (interval '1 day' * %(days)s / %(rows)s) "
            "- ((i::bigint * 31) %% 600) * interval '1 second' FROM generate_series(1, %(rows)s) AS i",
            {"rows": events, "upto": as_of, "days": DAYS},
        )
        cursor.execute("CREATE INDEX billing_upload_windows ON billing_upload (uploaded_at) INCLUDE (size)")
        cursor.execute("VACUUM (ANALYZE) billing_upload")


def _asked(statement: str, values: dict[str, Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [int(value) for value in cursor.fetchone()]


def _values(windows: tuple[Window, ...]) -> dict[str, Any]:
    edges = {f"{edge}{i}": getattr(w, f"{edge}s_at") for i, w in enumerate(windows) for edge in ("start", "end")}
    return edges | {"first": min(w.starts_at for w in windows), "last": max(w.ends_at for w in windows)}


def separately(windows: tuple[Window, ...], parts: tuple[str, ...]) -> list[int]:
    """Ask for each window, and for each of the parts of it, by a query of its own, as people do."""
    found = []
    for i, _ in enumerate(windows):
        for part in parts:
            found += _asked(
                f"SELECT {part} FROM billing_upload WHERE uploaded_at >= %(start{i})s AND uploaded_at < %(end{i})s",
                _values(windows),
            )
    return found


def in_one(windows: tuple[Window, ...], *, bounded: bool) -> list[int]:
    """Ask for all windows in one statement by hand, with or without a WHERE that bounds the scan."""
    columns = ", ".join(
        f"coalesce({part}  FILTER (WHERE uploaded_at >= %(start{i})s AND uploaded_at < %(end{i})s), 0)"
        for i, _ in enumerate(windows)
        for part in ("count(*)", "sum(size)")
    )
    bound = "WHERE uploaded_at >= %(first)s AND uploaded_at < %(last)s" if bounded else ""
    return _asked(f"SELECT {columns} FROM billing_upload {bound}", _values(windows))


def ours(names: tuple[str, ...], as_of: datetime, *, use_rollup: bool) -> list[int]:
    """Ask for the report's windows, as a command or a page does."""
    found = compute(find("uploads"), as_of=as_of, windows=names, zone="Asia/Seoul", use_rollup=use_rollup)
    assert found.source.startswith("rollup" if use_rollup else "table"), found.source
    values = [found.totals[name][0]["values"] for name in names]
    return [value[measure] for value in values for measure in ("count", "total_size")]


def timed(ask: Callable[[], list[int]], tries: int, expected: list[int]) -> list[float]:
    """Return the seconds of each try after one that warms; hold every answer against the expected one."""
    taken = []
    for n in range(tries + 1):
        start = time.perf_counter()
        found = ask()
        taken.append(time.perf_counter() - start)
        assert found == expected, (found, expected)
        if n and sum(taken) > 60:
            break
    return taken[1:]


def measure(events: int) -> str:
    """Fill, ask all contenders, and return the tables."""
    as_of = clock.now()
    fill(events, as_of)
    call_command("rollup", "rebuild", "uploads", no_input=True, verbosity=0)
    # Some rows since: today and one late day are touched, as they always are.
    with connection.cursor() as cursor:
        for late in (timedelta(0), timedelta(days=9)):
            cursor.execute(
                "INSERT INTO billing_upload (name, size, uploaded_at) "
                "SELECT 'late', 5, %s FROM generate_series(1, 100)",
                [as_of - late],
            )
        cursor.execute("VACUUM (ANALYZE) billing_upload")
    zone = ZoneInfo("Asia/Seoul")
    windows = resolve(ASKED, as_of, zone)
    month = resolve(("last_30_days",), as_of, zone)
    expected, of_month = in_one(windows, bounded=True), in_one(month, bounded=True)
    every = find("uploads").windows
    tries = [
        Tried("eight queries: each window, each measure", timed(lambda: separately(windows, SUMS), 10, expected)),
        Tried("four queries: each window", timed(lambda: separately(windows, (", ".join(SUMS),)), 10, expected)),
        Tried("one statement without a bound", timed(lambda: in_one(windows, bounded=False), 5, expected)),
        Tried("one bounded statement, by hand", timed(lambda: in_one(windows, bounded=True), 15, expected)),
        Tried("ours, from the table", timed(lambda: ours(ASKED, as_of, use_rollup=False), 15, expected)),
        Tried(
            "ours, by the rollup, two days touched", timed(lambda: ours(ASKED, as_of, use_rollup=True), 50, expected)
        ),
    ]
    alone = [
        Tried("last 30 days, by hand", timed(lambda: in_one(month, bounded=True), 15, of_month)),
        Tried("last 30 days, ours", timed(lambda: ours(("last_30_days",), as_of, use_rollup=False), 15, of_month)),
        Tried("all windows of the report, by rollup", timed(lambda: _all(every, as_of), 50, _all(every, as_of))),
    ]
    call_command("rollup", "refresh", "uploads", no_input=True, verbosity=0)
    refreshed = timed(lambda: ours(ASKED, as_of, use_rollup=True), 50, expected)
    tries.append(Tried("ours, by the rollup, refreshed", refreshed))
    hand = tries[3].median
    told = display.table(
        f"{events:,} uploads, {len(ASKED)} windows, 2 measures",
        ("contender", "ms", "x by hand"),
        [(one.name, f"{one.median * 1_000:.1f}", f"{one.median / hand:.2f}") for one in tries],
        ("ms", "x by hand"),
    )
    return told + display.table(
        "30 days alone, and all windows of the report",
        ("contender", "ms", "x by hand"),
        [(one.name, f"{one.median * 1_000:.1f}", f"{one.median / alone[0].median:.2f}") for one in alone],
        ("ms", "x by hand"),
    )


def _all(names: tuple[str, ...], as_of: datetime) -> list[int]:
    return ours(names, as_of, use_rollup=True)


def plan(names: tuple[str, ...], as_of: datetime, *, use_rollup: bool) -> str:
    """Return the server's plan of our statement, with what it took."""
    from ops.reports.computing import statement

    made, values = statement(find("uploads"), as_of=as_of, windows=names, use_rollup=use_rollup)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("EXPLAIN (ANALYZE, BUFFERS) {}").format(made), values)
        return "\n".join(row[0] for row in cursor.fetchall())
