"""A rollup answers what its table would, to the last digit; or the report says why it can't."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django import forms

from billing.reports import Uploads
from ops.reports import Aggregate, Avg, Count, Distinct, Filter, Percentile, Report, Sum, compute
from ops.reports.asking import ask as asked
from ops.reports.rollups import usable
from tests.ops.reports import rolled
from tests.ops.reports.rolled import AS_OF, ByDate, ByHour, Events, Plainest, ask, assert_same, refresh, registered

pytestmark = pytest.mark.django_db

ALL = (Events, Plainest, ByHour, ByDate)


@pytest.fixture(autouse=True)
def _events(db: None) -> Any:
    rolled.make()
    with registered(*ALL):
        yield


def build(*reports: type[Report]) -> None:
    for report in reports:
        refresh(report.name, rebuild=True)


def reason(report: type[Report], **more: Any) -> str:
    """Return why a report can't be answered from its rollup."""
    return usable(asked(report(), **{"as_of": AS_OF, **more}))


def test_each_measure_is_what_the_table_says() -> None:
    rolled.fill(120)
    build(Events)
    found = assert_same(Events())
    assert [row["group"] for row in found.rows["yesterday"]] == [{"kind": "a"}, {"kind": "b"}, {"kind": None}]
    total = found.totals["last_30_days"][0]["values"]
    # Every seven hours, back to the midnight 29 days and a half hour before; 13 is left out.
    sizes = [size for size in range(100) if size != 13]
    assert (total["count"], total["total"], total["most"]) == (99, sum(sizes), 99)
    assert round(total["average"], 10) == round(Decimal(sum(sizes)) / 8 / 99, 10)
    for groups in ((), ("kind",)):
        for filters in ({}, {"place": "here"}, {"place": None}, {"kind": "b"}, {"place": "there", "kind": "a"}):
            assert_same(Events(), groups=groups, filters=filters)


@pytest.mark.parametrize("report", ALL)
def test_an_empty_table_has_zeros(report: type[Report]) -> None:
    build(report)
    found = assert_same(report())
    assert found.totals["today"][0]["values"]["count"] == 0


@pytest.mark.parametrize("report", ALL)
def test_what_is_touched_is_read_from_the_table(report: type[Report]) -> None:
    rolled.fill(60)
    build(report)
    rolled.fill(5, step="-1 minute")
    ask("UPDATE rolled_event SET size = size + 100 WHERE id %% 7 = %s", 0)
    ask("DELETE FROM rolled_event WHERE id %% 11 = %s", 0)
    assert rolled.touched(report.name) != []
    before = assert_same(report())
    refresh(report.name)
    assert rolled.touched(report.name) == []
    after = assert_same(report())
    assert repr(after.totals) == repr(before.totals)


def test_the_level_without_filters_has_fewer_rows() -> None:
    rolled.fill(48, step="-1 hour")
    build(Events)
    levels = dict(ask("SELECT level, count(*) FROM ops_rolluprow WHERE report = 'events' GROUP BY level"))
    # One event today, and three kinds on each of two days; or three kinds in two places.
    assert levels == {0: 7, 1: 13}
    build(Plainest)
    assert ask("SELECT level, count(*) FROM ops_rolluprow WHERE report = 'plainest' GROUP BY level") == [(0, 3)]


def test_a_group_of_any_length_and_type_is_kept() -> None:
    class Grouped(Plainest):
        name = "grouped"
        groups = {
            "text": "repeat(t.kind, t.small * 5000)",
            "day": "t.day",
            "amount": "t.amount",
            "odd": "t.id % 2 = 1",
            "month": "date_trunc('month', t.at AT TIME ZONE %(zone)s)",
            "constant": "1",
        }

    with registered(Grouped):
        rolled.fill(30)
        build(Grouped)
        assert_same(Grouped())
        assert_same(Grouped(), groups=("month", "constant"))
        assert (
            reason(Grouped, zone="Asia/Tokyo")
            == "what is kept follows from the zone Asia/Seoul, and Asia/Tokyo is asked for"
        )


def test_totals_that_keep_a_group_and_none() -> None:
    class Keeping(Events):
        name = "keeping"
        groups = {"kind": "t.kind", "place": "t.place"}
        totals = ("kind",)

    class Without(Events):
        name = "without"
        totals = None

    with registered(Keeping, Without):
        rolled.fill(40)
        for report in (Keeping, Without):
            build(report)
            assert_same(report())
        assert_same(Keeping(), groups=())


def test_an_hour_serves_zones_of_whole_hours() -> None:
    rolled.fill(300, step="-17 minutes")
    build(ByHour, Plainest)
    for zone in ("UTC", "Asia/Seoul", "America/New_York", "Pacific/Apia"):
        assert_same(ByHour(), zone=zone)
    assert reason(ByHour, zone="Asia/Kathmandu") == (
        "a window ends at 18:15 UTC, within an hour: declare a rollup by 'day'"
    )
    found = assert_same(ByHour(), zone="Asia/Kolkata", uses=False)
    assert found.source == "table: a window ends at 18:30 UTC, within an hour: declare a rollup by 'day'"


def test_days_of_another_zone_are_read_from_the_table_unless_they_are_the_same() -> None:
    rolled.fill(50)
    build(Plainest)
    assert_same(Plainest(), zone="Asia/Tokyo")  # whose midnights are Seoul's
    assert_same(Plainest(), zone="Asia/Shanghai", uses=False)
    assert reason(Plainest, zone="Asia/Shanghai") == (
        "its rollup is by days of Asia/Seoul, and days of Asia/Shanghai are asked for"
    )


def test_a_date_has_no_zone() -> None:
    rolled.fill(50)
    build(ByDate)
    for zone in ("Asia/Seoul", "America/New_York", "Asia/Kathmandu"):
        assert_same(ByDate(), zone=zone)


def test_rows_without_a_time_or_at_the_ends_of_time_are_in_no_window() -> None:
    build(Plainest, ByDate)
    ask(
        "INSERT INTO rolled_event (at, day, size) VALUES (NULL, NULL, 1), ('infinity', 'infinity', 2), "
        "('-infinity', '-infinity', 3), ('4000-01-01 BC', '4000-01-01 BC', 4), ('290000-01-01', '290000-01-01', 5), "
        "('0001-06-01', '0001-06-01', 6), ('9998-06-01', '9998-06-01', 7)"
    )
    for report in (Plainest, ByDate):
        assert rolled.touched(report.name) == []
        found = assert_same(report())
        assert found.totals["last_30_days"][0]["values"] == {"count": 0, "total": 0}
        assert assert_same(report(), windows=["0001-02-01..2026-01-01"], uses=False).totals != []
        assert reason(report, windows=["2026-01-01..9999-01-01"]) == (
            "a window reaches into years that rollups do not keep"
        )
    refresh("plainest", rebuild=True)
    assert_same(Plainest())


def test_a_condition_with_a_value_is_held_against_no_sum() -> None:
    build(Events)
    assert_same(Events(), filters={"at_least": 3}, uses=False)
    assert reason(Events, filters={"at_least": 3}) == (
        "filter 'at_least' is a condition, which no sum that is kept could be held against"
    )


class Joined(Plainest):
    measures = {"total": Sum("t.size")}
    joins = "LEFT JOIN rolled_event AS o ON o.id = t.id"


class Reading(Plainest):
    reads = ("rolled_event", "billing_client")


class OfNow(Plainest):
    groups = {"old": "t.at < %(as_of)s"}


class Different(Plainest):
    measures = {"kinds": Distinct("t.kind")}


class DifferentCount(Plainest):
    measures = {"kinds": Count("DISTINCT t.kind")}


class Median(Plainest):
    measures = {"median": Percentile("t.size", 0.5)}


class Listed(Plainest):
    measures = {"list": Aggregate("string_agg(t.kind, ',')")}


class HoursOfDates(ByDate):
    rollup = "hour"


class WithNone(Plainest):
    rollup = ""


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (WithNone, "it declares no rollup"),
        (Joined, "it reads other tables beside its source, and what is written to them touches no bucket"),
        (Reading, "it reads other tables beside its source, and what is written to them touches no bucket"),
        (OfNow, "group 'old' follows from the instant as of which the report is made"),
        (Different, "measure 'kinds' looks at different values, and those of two days may be the same"),
        (DifferentCount, "measure 'kinds' looks at different values, and those of two days may be the same"),
        (Median, "measure 'median' is a percentile, and that of a month does not follow from those of its days"),
        (Listed, "measure 'list' is an aggregate of which nothing tells how two of it make one"),
        (HoursOfDates, "day is a date, which has no hours: declare a rollup by 'day'"),
    ],
)
def test_what_can_t_be_kept_is_said(report: type[Report], why: str) -> None:
    assert reason(report) == why
    expected = f"table: {why}" if report.rollup else "table"
    assert compute(report(), as_of=AS_OF).source == expected


def test_a_rollup_is_used_once_it_is_built() -> None:
    rolled.fill(10)
    command = "'manage.py rollup rebuild plainest'"
    assert reason(Plainest) == f"its rollup was never built: {command}"
    build(Plainest)
    assert reason(Plainest) == ""
    ask("UPDATE ops_rollup SET built_at = NULL")
    assert reason(Plainest) == f"its rollup is not built yet: {command}, or wait for its end"


def test_another_declaration_needs_another_rollup() -> None:
    build(Plainest)

    class Changed(Plainest):
        where = "t.size > 0"

    with registered(Changed):
        rolled.fill(20)
        assert reason(Changed) == (
            "its declaration is another one than its rollup was built for: 'manage.py rollup rebuild plainest'"
        )
        assert_same(Changed(), uses=False)
        build(Changed)
        assert_same(Changed())
    # As code that is still running when the new one has built it.
    assert_same(Plainest(), uses=False)


def test_columns_that_change_need_another_rollup() -> None:
    rolled.fill(20)
    build(Plainest)
    ask("ALTER TABLE rolled_event ADD COLUMN note text")
    assert reason(Plainest) == ""
    ask("ALTER TABLE rolled_event ALTER COLUMN size TYPE numeric USING size / 2.0")
    assert reason(Plainest) == (
        "columns that it reads have changed since its rollup was built: 'manage.py rollup rebuild plainest'"
    )
    build(Plainest)
    assert_same(Plainest())


def test_what_the_server_knows_of_the_source_is_looked_at() -> None:
    rolled.fill(20)
    build(Plainest)
    ask("ALTER TABLE rolled_event ENABLE ROW LEVEL SECURITY")
    assert reason(Plainest) == "its source has row-level security, and a rollup sums the rows of all"
    ask("ALTER TABLE rolled_event DISABLE ROW LEVEL SECURITY")
    ask("DROP INDEX rolled_event_at")
    assert reason(Plainest) == (
        "its source has no index that begins with at, which touched buckets are read by: create one"
    )
    ask("CREATE INDEX ON rolled_event USING brin (at)")
    assert_same(Plainest())
    ask("ALTER TABLE rolled_event RENAME TO rolled_other")
    assert ask("SELECT ops_rollup_trouble(r.report, r.digest) FROM ops_rollup AS r WHERE r.report = 'plainest'") == [
        ("gone",)
    ]
    ask("ALTER TABLE rolled_other RENAME TO rolled_event")
    assert_same(Plainest())


def test_the_server_and_python_disagree_about_a_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    build(Plainest)
    question = asked(Plainest(), as_of=AS_OF)
    moved = [edge + timedelta(minutes=15) for edge in (datetime(2026, 5, 18, 15, tzinfo=UTC), AS_OF)]
    monkeypatch.setattr("ops.reports.rollup_reading.edges", lambda _: moved)
    assert usable(question) == (
        "a day begins at 2026-05-19 00:15:00 KST by Python's time zones and at another instant by the server's, one of "
        "which is out of date: update both"
    )


def test_a_rollup_that_goes_in_the_moment_of_reading_is_not_believed() -> None:
    from ops.engine.session import Session
    from ops.reports import compiler, computing, rollups

    def told(made: Any) -> str:
        found = computing._result(question, "", Session("default").execute(*made))
        return repr((found.rows, found.totals))

    rolled.fill(40)
    build(Events)
    for filters in ({}, {"place": "here"}):
        question = asked(Events(), as_of=AS_OF, filters=filters)
        assert usable(question) == ""
        made = rollups.statement(question)
        plain = compiler.statement(question)
        wanted = told(plain)
        assert told(made) == wanted
        for harm in (
            "SELECT ops_rollup_remove('events')",
            "UPDATE ops_rollup SET digest = 'another'",
            "UPDATE ops_rollup SET types = '{{}}'",
            "ALTER TABLE rolled_event DISABLE TRIGGER USER",
            "TRUNCATE rolled_event",
        ):
            ask("SAVEPOINT before")
            ask(harm.replace("{{}}", "{}"))
            if harm.startswith("TRUNCATE"):
                wanted = told(plain)
            assert told(made) == wanted, harm
            ask("ROLLBACK TO SAVEPOINT before")


def test_one_look_and_one_statement(django_assert_num_queries: Any) -> None:
    for rows in (3, 200):
        rolled.fill(rows)
        build(Events)
        # The table is no model's, so the type of its column is asked for, too.
        with django_assert_num_queries(3):
            compute(Events(), as_of=AS_OF)
    with registered(Uploads):
        build(Uploads)
        with django_assert_num_queries(2):
            assert compute(Uploads()).source == "rollup by day"


class Average(Plainest):
    measures = {"mean": Avg("t.amount"), "whole": Avg("t.small"), "sum": Sum("t.amount")}


def test_an_average_has_the_digits_of_the_table_s() -> None:
    build_of = [(Decimal("0.001"), 1), (Decimal("123456789.999"), 7), (Decimal("-0.5"), 3), (Decimal(0), 1)]
    with registered(Average):
        for amount, times in build_of:
            ask(
                "INSERT INTO rolled_event (at, amount, small) SELECT %s - i * interval '1 day', %s, i "
                "FROM generate_series(1, %s) AS i",
                AS_OF,
                amount,
                times,
            )
            refresh("plainest", rebuild=True)
            assert_same(Average(), windows=["last_7_days", "last_2_days", "last_30_days"])


def test_several_values_of_a_filter() -> None:
    class Several(Events):
        name = "several"
        filters = {
            "place": Filter("t.place", forms.CharField()),
            "kind": Filter("t.kind", forms.CharField(required=False, empty_value=None)),
        }

    with registered(Several):
        rolled.fill(30)
        build(Several)
        assert_same(Several(), filters={"place": ["here", "nowhere"]})
        assert_same(Several(), filters={"place": "nowhere"})
        found = assert_same(Several(), filters={"kind": ["a", ""]})
        assert {row["group"]["kind"] for row in found.rows["last_30_days"]} == {"a", None}
        rolled.fill(9)  # and of touched buckets
        assert_same(Several(), filters={"kind": ["", "a"]}, windows=["today", "last_30_days"])
        assert_same(Several(), filters={"kind": ["", ""]}, groups=[])
