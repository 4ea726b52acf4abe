"""Whatever is done to a table, in whatever order: the rollup says what the table says, and what a loop says."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django import forms
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ops.reports import Avg, Count, Filter, Max, Min, Report, Sum
from ops.reports import registry as reports
from ops.reports.rollup_verifying import verify
from tests.ops.reports import rolled
from tests.ops.reports.reference import PECULIAR, day_of, holds, instants_around
from tests.ops.reports.rolled import another, ask, assert_same, execute, refresh, registered

pytestmark = pytest.mark.django_db(transaction=True)

Row = tuple[datetime | None, int | None, str | None]
WINDOWS = ("today", "yesterday", "last_7_days", "this_month", "last_2_months")


class Drawn(Report):
    """A report whose zone is drawn."""

    name = "drawn"
    source: Any = "rolled_event"
    time = "at"
    windows = WINDOWS
    measures = {"count": Count(), "total": Sum("size"), "mean": Avg("size"), "least": Min("size"), "last": Max("at")}
    groups = {"kind": "t.kind"}
    filters = {"place": Filter("t.place", forms.CharField())}
    rollup = "day"


@pytest.fixture(autouse=True)
def _events(transactional_db: None) -> Iterator[None]:
    rolled.make()
    try:
        yield
    finally:
        rolled.remove()


def steps(odd: Any, zone: ZoneInfo) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Draw what is done: rows come around a day on which clocks do something odd."""
    at = st.builds(
        lambda days, instant: instant + timedelta(days=days),
        st.sampled_from([0, 0, 0, 0, 1, -1, -5, -31]),
        st.sampled_from(instants_around(odd, zone)),
    )
    size = st.integers(0, 9)
    row = st.tuples(st.none() | at, st.none() | size, st.sampled_from(["a", "b", None]))
    rows = st.lists(row, min_size=1, max_size=4)
    by = st.sampled_from(["here", "here", "other"])
    one = st.one_of(
        st.tuples(st.just("insert"), by, rows),
        st.tuples(st.just("move"), by, size, at),
        st.tuples(st.just("resize"), by, size, size),
        st.tuples(st.just("delete"), by, size),
        st.tuples(st.just("undone"), rows),
        st.tuples(st.just("truncate")),
        st.tuples(st.just("refresh")),
        st.tuples(st.just("refresh")),
        st.tuples(st.just("commit")),
        st.tuples(st.just("rollback")),
    )
    return st.lists(one, min_size=4, max_size=14)


@st.composite
def stories(draw: st.DrawFn) -> tuple[str, str, datetime, list[tuple[Any, ...]]]:
    """Draw a zone, a grain, the instant as of which is asked, and what is done."""
    name, odd = draw(st.sampled_from(PECULIAR))
    zone = ZoneInfo(name)
    grain = draw(st.sampled_from(["day", "day", "day", "hour"]))
    return name, grain, draw(st.sampled_from(instants_around(odd, zone))), draw(steps(odd, zone))


EXAMPLES = {"max_examples": 15, "deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(**EXAMPLES, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(story=stories())
def test_any_interleaving_is_answered_as_the_table_would(
    story: tuple[str, str, datetime, list[tuple[Any, ...]]],
) -> None:
    tell(story)


@pytest.mark.soak
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "100")), **{k: v for k, v in EXAMPLES.items() if k != "max_examples"}
)
@given(story=stories())
def test_many_interleavings_are_answered_as_the_table_would(
    story: tuple[str, str, datetime, list[tuple[Any, ...]]],
) -> None:
    tell(story)


def tell(story: tuple[str, str, datetime, list[tuple[Any, ...]]]) -> None:
    """Do what a story says; ask after each step."""
    name, grain, as_of, told = story
    kind = type("Drawn", (Drawn,), {"zone": name, "rollup": grain})
    report = kind()
    ask("DELETE FROM rolled_event")
    with registered(kind), another() as writer:
        refresh("drawn", rebuild=True)
        execute(writer, "SET lock_timeout = '5s'")
        for step in told:
            do(writer, step)
            look(report, as_of)
        writer.commit()
        look(report, as_of)
        refresh("drawn")
        found = verify(reports.find("drawn"), "default")
        assert (found.differing, found.touched) == (0, 0)
        look(report, as_of)
    ask("SELECT ops_rollup_remove('drawn')")


def do(writer: Any, step: tuple[Any, ...]) -> None:
    """Do one step, by Django's connection, where each is committed, or by the other, where it waits for that."""
    what, *rest = step
    if what in ("insert", "move", "resize", "delete"):
        by, *values = rest
        if what != "insert" and by == "here":
            writer.commit()  # it may hold the rows
        for statement, given_ in statements(what, values):
            if by == "here":
                ask(statement, *given_)
            else:
                execute(writer, statement, given_)
    elif what == "undone":
        with transaction.atomic():
            for statement, given_ in statements("insert", rest):
                ask(statement, *given_)
            transaction.set_rollback(True)
    elif what == "truncate":
        writer.commit()
        ask("TRUNCATE rolled_event")
    elif what == "refresh":
        refresh("drawn", batch_size=2)
    else:
        getattr(writer, what)()


def statements(what: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    if what == "insert":
        return [
            (
                "INSERT INTO rolled_event (at, size, kind, place) "
                "SELECT r.at, r.size, r.kind, CASE WHEN r.size % 2 = 0 THEN 'here' ELSE 'there' END "
                "FROM unnest(%s::timestamptz[], %s::bigint[], %s::text[]) AS r (at, size, kind)".replace(" % ", " %% "),
                [list(column) for column in zip(*values[0], strict=True)],
            )
        ]
    if what == "move":
        return [("UPDATE rolled_event SET at = %s WHERE size = %s", [values[1], values[0]])]
    if what == "resize":
        return [("UPDATE rolled_event SET size = %s WHERE size = %s", [values[1], values[0]])]
    return [("DELETE FROM rolled_event WHERE size = %s", [values[0]])]


def look(report: Report, as_of: datetime) -> None:
    """Assert that the rollup is used where it can be, and says what the table says, and a loop."""
    kathmandu = report.rollup == "hour" and _has_half_hours(report.zone, as_of)
    uses = not kathmandu and ask("SELECT 1 FROM ops_rolluptouched WHERE report = 'drawn' AND bucket IS NULL") == []
    for asked in ({}, {"groups": ()}, {"filters": {"place": "here"}}):
        if kathmandu:
            continue
        found = assert_same(report, uses=uses, as_of=as_of, **asked)
        if not asked:
            naive(report, as_of, found.totals)


def _has_half_hours(zone: str, as_of: datetime) -> bool:
    """Tell whether days of the zone may begin within an hour of UTC, in the months that windows reach into."""
    days = [as_of + timedelta(days=n) for n in range(-70, 40)]
    offsets = {day.astimezone(ZoneInfo(zone)).utcoffset() for day in days}
    return any(offset is None or offset % timedelta(hours=1) for offset in offsets)


def naive(report: Report, as_of: datetime, totals: dict[str, Any]) -> None:
    """Hold totals against a loop over the rows."""
    zone = ZoneInfo(report.zone)
    today = day_of(as_of, zone)
    rows = [row for row in ask("SELECT at, size FROM rolled_event") if row[0] is not None]
    days = {at: day_of(at.astimezone(UTC), zone) for at, _ in rows}
    for window in WINDOWS:
        own = [(at, size) for at, size in rows if holds(window, days[at], today)]
        sizes = [size for _, size in own if size is not None]
        values = totals[window][0]["values"]
        assert (values["count"], values["total"]) == (len(own), sum(sizes)), window
        assert (values["least"], values["last"]) == (min(sizes, default=None), max((at for at, _ in own), default=None))
        assert (values["mean"] is None) == (not sizes)
