"""Reports against the naive reference: odd days of zones, midnights, nulls, empty tables, groups, filters."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.engine.session import DatabaseTrouble
from ops.reports import BadChoice, BadWindow, Count, Report, compute
from tests.ops.reports import samples
from tests.ops.reports.reference import PECULIAR, Row, instants_around, near
from tests.ops.reports.samples import ByDay, ByInstant, KeepingKind, WithoutTotal
from tests.ops.reports.test_windows import NAMES

pytestmark = pytest.mark.django_db

Queries = Callable[[int], AbstractContextManager[Any]]
AS_OF = datetime(2026, 5, 19, 15, 30, tzinfo=UTC)
"""00:30 of the 20th in Seoul."""


@pytest.fixture(autouse=True)
def _table(db: None) -> None:
    samples.make()


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Row], datetime, ZoneInfo]:
    """Draw rows around a day on which clocks do something odd, an instant then, and the zone."""
    zone_name, odd = draw(st.sampled_from(PECULIAR))
    zone = ZoneInfo(zone_name)
    edges = st.builds(
        lambda days, instants_of: instants_of[0] + timedelta(days=days),
        st.sampled_from([0, 0, 0, 1, -1, -6, -29, -30, -31, -61, 20, -365]),
        st.sampled_from(instants_around(odd, zone)).map(lambda instant: (instant,)),
    )
    row = st.fixed_dictionaries(
        {
            "at": st.none() | edges,
            "day": st.none() | st.dates(odd - timedelta(days=3), odd + timedelta(days=3)),
            "amount": st.none() | st.decimals(-100, 100, places=2),
            "size": st.none() | st.integers(0, 100) | st.integers(2**60, 2**62),
            "small": st.none() | st.integers(-3, 9),
            "kind": st.none() | st.sampled_from(["a", "b", "%s"]),
            "place": st.none() | st.sampled_from(["here", "there", "nowhere"]),
        }
    )
    return draw(st.lists(row, max_size=25)), draw(edges), zone


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["a", "%s", None, ["a", "b"], ["b", None], [None, "%s", "a", None], [None, None]]),
        "at_least": st.sampled_from([0, "40"]),
        "places": st.sampled_from([["here"], ["here", "there"]]),
        "before": st.just("on"),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    report=st.sampled_from([ByInstant(), ByInstant(), KeepingKind(), WithoutTotal(), ByDay()]),
    table=tables(),
    windows=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    groups=st.lists(st.sampled_from(["kind", "country", "constant", "month"]), max_size=3, unique=True),
    filters=FILTERS,
)
def test_a_report_agrees_with_a_loop(
    report: Report,
    table: tuple[list[Row], datetime, ZoneInfo],
    windows: list[str],
    groups: list[str],
    filters: dict[str, Any],
) -> None:
    rows, as_of, zone = table
    samples.fill(rows)
    left = [row for row in rows if samples.passes(row, filters, as_of)]
    found = compute(report, as_of=as_of, windows=windows, zone=zone.key, groups=groups, filters=filters)
    wanted = samples.plain(report).compute(left, windows, found.groups, as_of, zone)
    for told, expected in zip((found.rows, found.totals), wanted, strict=True):
        assert set(told) == set(windows)
        for window in windows:
            values = {tuple(entry["group"].items()): entry["values"] for entry in told[window]}
            assert len(values) == len(told[window])
            assert set(values) == set(expected[window])
            for group, measures in expected[window].items():
                differ = {
                    name: (values[group][name], value)
                    for name, value in measures.items()
                    if not near(values[group][name], value)
                }
                assert differ == {}
                assert list(values[group]) == list(report.measures)


def test_an_empty_table_has_zeros_and_nulls() -> None:
    samples.fill([])
    found = compute(ByInstant(), as_of=AS_OF, groups=[])
    zeros = {"count", "sized", "total", "small_total", "kinds", "call", "big", "big_total"}
    wanted = {name: 0 if name in zeros else None for name in ByInstant.measures} | {"money": Decimal(0)}
    assert found.as_json() == {"sample": dict.fromkeys(ByInstant.windows, wanted)}
    values = found.totals["today"][0]["values"]
    assert [type(values[name]) for name in ("total", "small_total", "money")] == [int, int, Decimal]
    assert compute(ByInstant(), as_of=AS_OF).rows == {window: [] for window in ByInstant.windows}
    assert len(compute(ByInstant(), as_of=AS_OF).totals["today"]) == 1
    assert compute(KeepingKind(), as_of=AS_OF).totals["today"] == []


def row(at: str, kind: str | None, size: int | None, place: str = "here") -> Row:
    instant = datetime.fromisoformat(at)
    return dict(zip(samples.COLUMNS, (instant, date(2026, 5, 1), None, size, 1, kind, place), strict=True))


ROWS = [
    row("2026-05-19T15:00Z", "a", 5),  # 00:00 of the 20th in Seoul: today, and in no other day
    row("2026-05-19T14:59:59.999999Z", None, 7),
    row("2026-05-20T15:00Z", "b", 100),  # tomorrow's midnight
    row("2026-05-20T14:59Z", "b", None, "there"),
]


class Small(ByInstant):
    """Two measures, to be read."""

    name = "small"
    windows = ("today", "yesterday", "this_month")
    measures = {name: ByInstant.measures[name] for name in ("count", "total")}
    groups = {"kind": "t.kind", "place": "t.place"}


def test_json_of_a_report_without_groups() -> None:
    samples.fill(ROWS)
    found = compute(Small(), as_of=AS_OF, groups=[])
    assert found.as_json() == {
        "small": {
            "today": {"count": 2, "total": 5},
            "yesterday": {"count": 1, "total": 7},
            "this_month": {"count": 4, "total": 112},
        }
    }
    assert (found.zone, found.source, found.filters, found.groups) == ("Asia/Seoul", "table", {}, ())
    assert found.rows == {"today": [], "yesterday": [], "this_month": []}


def test_json_of_a_report_with_groups() -> None:
    samples.fill(ROWS)
    found = compute(Small(), as_of=AS_OF, windows=["today"], groups=["kind"]).as_json()
    # The rows of the 21st and of the 19th are of no group of today.
    assert found == {
        "small": {
            "today": {
                "groups": [{"kind": "a", "count": 1, "total": 5}, {"kind": "b", "count": 1, "total": 0}],
                "count": 2,
                "total": 5,
            }
        }
    }
    both = compute(Small(), as_of=AS_OF, windows=["today", "yesterday"], groups=["kind"]).as_json()["small"]
    assert both["yesterday"]["groups"] == [{"kind": None, "count": 1, "total": 7}]
    assert both["today"] == found["small"]["today"]


def test_json_of_totals_that_keep_a_group() -> None:
    class Kept(Small):
        totals = ("kind",)

    samples.fill(ROWS)
    found = compute(Kept(), as_of=AS_OF, windows=["this_month"]).as_json()["small"]["this_month"]
    assert found["groups"] == [
        {"kind": "a", "place": "here", "count": 1, "total": 5},
        {"kind": "b", "place": "here", "count": 1, "total": 100},
        {"kind": "b", "place": "there", "count": 1, "total": 0},
        {"kind": None, "place": "here", "count": 1, "total": 7},
    ]
    assert found["totals"] == [
        {"kind": "a", "count": 1, "total": 5},
        {"kind": "b", "count": 2, "total": 100},
        {"kind": None, "count": 1, "total": 7},
    ]
    assert set(found) == {"groups", "totals"}
    both = compute(Kept(), as_of=AS_OF, windows=["yesterday", "this_month"]).as_json()["small"]
    assert both["yesterday"]["totals"] == [{"kind": None, "count": 1, "total": 7}]
    assert both["this_month"] == found
    # A kept group is told apart whatever is asked, and alone it is its own total.
    only = compute(Kept(), as_of=AS_OF, windows=["this_month"], groups=[])
    assert only.groups == ("kind",)
    assert only.as_json()["small"]["this_month"] == {"totals": found["totals"]}
    by_place = compute(Kept(), as_of=AS_OF, windows=["this_month"], groups=["place"])
    assert by_place.groups == ("place", "kind")


def test_a_report_without_a_total() -> None:
    class Grouped(Small):
        totals = None

    samples.fill(ROWS)
    found = compute(Grouped(), as_of=AS_OF, windows=["today"], groups=["kind"])
    assert found.totals == {"today": []}
    assert set(found.as_json()["small"]["today"]) == {"groups"}
    assert compute(Grouped(), as_of=AS_OF, windows=["today"], groups=[]).as_json() == {
        "small": {"today": {"count": 2, "total": 5}}
    }


@pytest.mark.parametrize("windows", [["today"], [f"last_{n}_days" for n in range(1, 70)]])
def test_it_is_one_statement(django_assert_num_queries: Queries, windows: list[str]) -> None:
    """Beside the one that asks for the type of a column that no model tells."""
    with django_assert_num_queries(2) as asked:
        found = compute(KeepingKind(), as_of=AS_OF, windows=windows, filters={"kind": "a"})
    assert "pg_attribute" in asked[0]["sql"]
    assert asked[1]["sql"].count('FROM "report_sample" AS t LEFT JOIN report_place AS p ON p.name = t.place CROSS') == 1
    assert len(found.windows) == len(windows)


def refusal(**options: Any) -> str:
    with pytest.raises(BadChoice) as refused:
        compute(ByInstant(), as_of=AS_OF, **options)
    return str(refused.value)


def test_what_a_report_does_not_have_is_told_with_what_it_has() -> None:
    assert refusal(filters={"colour": "red"}) == (
        "Report 'sample' has no filter 'colour'; there is: at_least, at_most, before, kind, places."
    )
    assert refusal(groups=["colour"]) == (
        "Report 'sample' has no group 'colour'; there is: kind, country, constant, month."
    )
    assert refusal(groups=["kind", "kind"]) == "The group 'kind' is named twice; name it once."
    assert refusal(filters={"at_least": "many"}) == "Filter 'at_least' of report 'sample': Enter a whole number."
    assert refusal(filters={"at_least": ["1", "2"]}) == "Filter 'at_least' of report 'sample': It takes one value."
    assert refusal(filters={"at_least": None}) == "Filter 'at_least' of report 'sample': This field is required."
    assert refusal(filters={"at_most": ""}) == (
        "Filter 'at_most' of report 'sample' is given nothing to compare with: give it a value, or leave it out."
    )
    assert refusal(filters={"places": "away"}) == (
        "Filter 'places' of report 'sample': Select a valid choice. away is not one of the available choices."
    )
    assert refusal(filters={"kind": "a\0"}) == "Filter 'kind' of report 'sample': Null characters are not allowed."
    assert refusal(filters={"kind": "\ud800"}) == (
        "Filter 'kind' of report 'sample': '\\ud800' is no text that PostgreSQL keeps."
    )
    assert refusal(zone="Asia/Soul") == "'Asia/Soul' is not a time zone: did you mean Asia/Seoul?"
    assert refusal(zone="+09:00") == "'+09:00' is no IANA time zone: name one, as Asia/Seoul."
    assert refusal(windows=[]) == "Report 'sample' needs at least one window, such as today."
    assert "There is no window 'soon'; there is: today, " in refusal(windows=["soon"])


def test_more_windows_than_a_statement_has_columns() -> None:
    with pytest.raises(BadWindow, match=r"^90 windows are too many for report 'sample': ask for 72 at a time\.$"):
        compute(ByInstant(), windows=[f"last_{n}_days" for n in range(1, 91)])
    assert len(compute(ByInstant(), windows=[f"last_{n}_days" for n in range(1, 73)]).windows) == 72
    assert len(compute(ByInstant(), windows=[f"last_{n}_days" for n in range(1, 77)], groups=[]).windows) == 76


def test_filters_as_they_are_kept() -> None:
    samples.fill(ROWS)
    found = compute(Small(), as_of=AS_OF, groups=[], filters={"kind": ["b"], "at_least": "100", "places": "here"})
    assert found.filters == {"at_least": 100, "kind": "b", "places": ["here"]}
    assert found.totals["this_month"][0]["values"] == {"count": 1, "total": 100}
    either = compute(Small(), as_of=AS_OF, groups=[], filters={"kind": ["b", "", "a", "b"]})
    assert either.filters == {"kind": ["a", "b", None]}
    assert either.totals["this_month"][0]["values"] == {"count": 4, "total": 112}
    again = compute(Small(), as_of=AS_OF, groups=[], filters={"kind": ["b", "b"], "places": ["there", "here", "there"]})
    assert again.filters == {"kind": "b", "places": ["here", "there"]}
    nothing_known = compute(Small(), as_of=AS_OF, groups=[], filters={"kind": ""})
    assert nothing_known.filters == {"kind": None}
    assert nothing_known.totals["this_month"][0]["values"] == {"count": 1, "total": 7}


def test_an_error_of_the_server_is_one_sentence() -> None:
    class Wrong(Small):
        measures = {"count": Count(where="colour = 'red'")}

    with pytest.raises(DatabaseTrouble) as failed:
        compute(Wrong(), as_of=AS_OF)
    assert str(failed.value) == (
        "Computing report 'small': column \"colour\" does not exist; correct the report's declaration, or run "
        "'manage.py migrate'."
    )


@pytest.mark.django_db(transaction=True)
def test_a_timeout_ends_a_report_and_lets_it_only_read() -> None:
    class Slow(Small):
        measures = {"count": Count(where="pg_sleep(5) IS NOT NULL")}

    class Writing(Small):
        measures = {"count": Count(where="nextval('report_sample_id_seq') > 0")}

    try:
        samples.fill(ROWS)
        assert compute(Small(), as_of=AS_OF, groups=[], timeout=10_000).totals["today"][0]["values"]["count"] == 2
        with pytest.raises(DatabaseTrouble) as late:
            compute(Slow(), as_of=AS_OF, timeout=100)
        assert str(late.value) == (
            "Computing report 'small': canceling statement due to statement timeout; ask for shorter windows, allow it "
            "more time, give the report a rollup, or see whether 'manage.py stats --advise' misses an index."
        )
        with pytest.raises(DatabaseTrouble, match=r"cannot execute nextval.* in a read-only transaction"):
            compute(Writing(), as_of=AS_OF, timeout=10_000)
        # Without one it is executed as it is, and so is what follows.
        assert compute(Writing(), as_of=AS_OF, groups=[]).totals["today"][0]["values"]["count"] == 2
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE report_sample, report_place")
