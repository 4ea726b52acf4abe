"""`ops.save_report`: what a report came to, kept to the last digit, once for each instant, all of it or nothing."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from ops.clock.schedules import Schedule
from ops.engine import parameters, registry, retention
from ops.engine import run as engine
from ops.engine.jobs import BrokenJob
from ops.engine.lifecycle import Options
from ops.engine.parameters import BadParameters
from ops.engine.plan import Guards, Refused
from ops.models import ReportResult, Run
from ops.reports import Count, Max, Min, Report, compute
from ops.reports.history import history
from ops.reports.saving import SaveReport, filters_of, kept, kind_of, read_back
from ops.reports.windows import BadChoice
from tests.ops.clock.fakes import begun, declared, start
from tests.ops.reports import samples
from tests.ops.reports.kept import AS_OF, ROWS, Kept, also_registered, registered, row
from tests.ops.shop import command

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def report(db: None) -> Iterator[Report]:
    with registered() as made:
        yield made


def save(options: Options | None = None, as_of: datetime = AS_OF, **given: Any) -> tuple[Run, SaveReport]:
    job = SaveReport()
    params = parameters.clean(job.params, {"report": "kept", **given}, "default")
    run, _ = engine.apply(job, params, options or Options(), as_of)
    return run, job


def table() -> list[tuple[Any, ...]]:
    rows = ReportResult.objects.order_by("as_of", "window", "group").values_list(
        "report", "window", "as_of", "filters", "group", "starts_at", "ends_at", "values"
    )
    return [tuple(one) for one in rows]


@pytest.mark.smoke
def test_every_group_and_total_of_every_window_is_kept_exactly() -> None:
    samples.fill(ROWS)
    run, job = save()
    assert job.counts == {"inserted": 7, "updated": 0, "deleted": 0}
    assert (run.state, run.changed, run.batches, run.target) == ("done", 7, 1, "ops.ReportResult")
    today = (datetime(2026, 5, 19, 15, tzinfo=UTC), datetime(2026, 5, 20, 15, tzinfo=UTC))
    week = (datetime(2026, 5, 13, 15, tzinfo=UTC), today[1])
    at, before = "2026-05-19T15:30:00+00:00", "2026-05-16T15:30:00+00:00"
    a = {"count": 1, "size": 1, "money": "1.10", "last": at, "median": 1.0, "mean": "1.10"}
    b = {
        "count": 1,
        "size": str(2**62),  # a float would end it in 0000
        "money": "9999999999.99",
        "last": at,
        "median": "4.611686018427388e+18",
        "mean": "9999999999.99",
    }
    both = {
        "count": 2,
        "size": str(2**62 + 1),
        "money": "10000000001.09",
        "last": at,
        "median": "2.305843009213694e+18",
        "mean": "5000000000.545",
    }
    three = {**both, "count": 3, "size": str(2**62 + 2), "money": "10000000002.19", "median": 1.0}
    none = {**a, "last": before}
    found = {(window, json.dumps(group)): (edges, values) for _, window, _, _, group, *edges, values in table()}
    mean = found["last_7_days", "{}"][1].pop("mean")
    assert Decimal(mean) * 3 - Decimal("10000000002.19") < Decimal("1e-6")
    del three["mean"]
    assert found == {
        ("today", '{"kind": "a"}'): ([*today], a),
        ("today", '{"kind": "b"}'): ([*today], b),
        ("today", "{}"): ([*today], both),
        ("last_7_days", '{"kind": "a"}'): ([*week], a),
        ("last_7_days", '{"kind": "b"}'): ([*week], b),
        ("last_7_days", '{"kind": null}'): ([*week], none),
        ("last_7_days", "{}"): ([*week], three),
    }
    assert set(ReportResult.objects.values_list("report", "as_of", "run")) == {("kept", AS_OF, run.pk)}


def by_group(entry: tuple[dict[str, Any], Any]) -> str:
    return str(entry[0])


def test_what_is_read_back_is_what_was_computed(report: Report) -> None:
    samples.fill(ROWS)
    save()
    result = compute(report, as_of=AS_OF)
    saved = history(report).windows
    assert list(saved) == ["today", "last_7_days"]
    for name, (one,) in saved.items():
        told = [(entry["group"], entry["values"]) for entry in (*one.rows, *one.totals)]
        wanted = [(entry["group"], entry["values"]) for entry in (*result.rows[name], *result.totals[name])]
        assert all(entry in told for entry in wanted)
        for (_, values), (_, was) in zip(sorted(told, key=by_group), sorted(wanted, key=by_group), strict=True):
            assert {name: type(value) for name, value in values.items()} == {n: type(v) for n, v in was.items()}
        assert len(told) == len(wanted) == {"today": 3, "last_7_days": 4}[name]


def test_saved_again_nothing_changes_and_later_only_what_differs() -> None:
    samples.fill(ROWS)
    first, _ = save()
    before, saved_at = table(), ReportResult.objects.values_list("saved_at", flat=True).distinct().get()
    second, job = save()
    assert (second.changed, job.counts, table()) == (0, {"inserted": 0, "updated": 0, "deleted": 0}, before)
    # One group has gone, one is new, one has changed in one window; the others stay as they were saved.
    samples.fill([ROWS[0], {**ROWS[2], "amount": Decimal("7.00")}, row(kind="c", at=AS_OF - timedelta(days=1))])
    third, job = save()
    assert job.counts == {"inserted": 1, "updated": 3, "deleted": 2}
    untouched = ReportResult.objects.filter(run=first)
    assert {(one.window, one.group.get("kind", "total")) for one in untouched} == {
        ("today", "a"),
        ("last_7_days", "a"),
    }
    assert set(untouched.values_list("saved_at", flat=True)) == {saved_at}
    assert ReportResult.objects.filter(run=third).count() == 4
    # Of another instant, or restricted, it is kept beside.
    save(as_of=AS_OF - timedelta(days=1))
    assert ReportResult.objects.filter(as_of=AS_OF).count() == 6
    assert ReportResult.objects.count() > 6


class Odd(Kept):
    """Groups of types that are no text, and texts too long for an index."""

    name = "odd"
    measures = {"count": Count(), "least": Min("kind"), "size": Max("size")}
    groups = {
        "long": "repeat(md5(t.kind), 200)",
        "bytes": "convert_to(t.kind, 'UTF8')",
        "array": "ARRAY[t.kind, t.place]",
        "ratio": "'NaN'::float8",
    }


def test_groups_of_any_type_and_length_are_kept_and_settle(tmp_path: Path) -> None:
    with also_registered(Odd) as report:
        samples.fill([row(kind="007"), row(kind="x\\y"), row(kind="007", at=AS_OF - timedelta(days=1))])
        assert save(report="odd")[1].counts == {"inserted": 6, "updated": 0, "deleted": 0}
        assert save(report="odd")[1].counts == {"inserted": 0, "updated": 0, "deleted": 0}
        found = history(report).windows["last_7_days"][0]
        assert {one["values"]["least"] for one in found.rows} == {"007", "x\\y"}
        assert {(one["group"]["bytes"], tuple(one["group"]["array"])) for one in found.rows} == {
            ("\\x303037", ("007", None)),
            ("\\x785c79", ("x\\y", None)),
        }
        shown = command("stats", "odd", "--as-of", AS_OF.isoformat(), "--json", "--plot", str(tmp_path / "odd.svg"))
        assert json.loads(shown.out, parse_constant=pytest.fail)["odd"]["today"]["groups"][0]["ratio"] == "nan"
        words = ("--as-of", AS_OF.isoformat(), "--group", "array", "bytes", "--plot", str(tmp_path / "odd.svg"))
        assert command("stats", "odd", *words).err == f"Drawn: {tmp_path / 'odd.svg'}\n"
        drawn = command("stats", "odd", "--history", "today", "--plot", str(tmp_path / "then.svg"))
        assert (drawn.code, (tmp_path / "then.svg").read_text().startswith("<?xml")) == (0, True)


def test_what_is_saved_for_some_windows_leaves_the_others() -> None:
    samples.fill(ROWS)
    save()
    samples.fill([])
    _, job = save(windows=["today", "yesterday"])
    # Of an empty table there is the total.
    assert job.counts == {"inserted": 1, "updated": 1, "deleted": 2}
    assert ReportResult.objects.filter(window="last_7_days").count() == 4


@given(
    st.one_of(
        st.integers(),
        st.decimals(allow_nan=False, allow_infinity=False, places=None),
        st.floats(allow_nan=False, allow_infinity=False),
        st.timedeltas(),
        st.none(),
        st.booleans(),
    )
)
def test_no_digit_is_lost(value: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb::text", [json.dumps(kept(value), allow_nan=False)])
        found = read_back(json.loads(cursor.fetchone()[0]), kind_of(value))
    assert (found, type(found)) == (value, type(value))
    if isinstance(value, int) and abs(value) > 2**53:
        assert isinstance(kept(value), str)


def test_of_what_is_no_number_the_text_is_kept() -> None:
    values = [float("-inf"), date(2026, 5, 1), AS_OF, b"\x00\xff", "007", "12a", "P1D", ""]
    assert [kept(value) for value in values] == [
        *("-inf", "2026-05-01", "2026-05-19T15:30:00+00:00", "\\x00ff", "007", "12a", "P1D", "")
    ]
    assert [read_back(kept(value), kind_of(value)) for value in values] == values
    assert (kept(float("nan")), kind_of(float("nan"))) == ("nan", "float")
    assert kept(memoryview(b"a")) == "\\x61"
    assert kept([Decimal("1.50"), None, [2**60]]) == ["1.50", None, [str(2**60)]]


def test_a_filter_is_kept_with_what_it_restricted() -> None:
    assert filters_of(["a=1", "b=x=y", "a=2", "c="]) == {"a": ["1", "2"], "b": "x=y", "c": ""}
    with pytest.raises(BadChoice, match=r"^'a' is no filter: write it as NAME=VALUE\.$"):
        filters_of(["a"])
    job = registry.find("ops.save_report")
    params = parameters.clean(job.params, {"report": "uploads", "filters": ["client=5"]}, "default")
    engine.apply(job, params, Options(), AS_OF)
    assert set(ReportResult.objects.values_list("report", "filters__client")) == {("uploads", 5)}
    assert job.describe(params) == "uploads, client=5"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"report": "kepd"}, "There is no report 'kepd'; there is: kept, revenue, runs, subscriptions, uploads."),
        ({"windows": ["tody"]}, "There is no window 'tody'; there is: today"),
        ({"filters": ["kind=a"]}, "Report 'kept' has no filter 'kind'; there is: none."),
        ({"filters": ["kind"]}, "'kind' is no filter: write it as NAME=VALUE."),
        ({"report": ""}, "--report: This field is required."),
    ],
)
def test_what_there_is_not_is_refused_before_a_run_is_opened(given: dict[str, Any], error: str) -> None:
    with pytest.raises(BadParameters) as caught:
        save(**given)
    assert str(caught.value).startswith(error)
    assert not Run.objects.exists()


def test_a_value_that_its_filter_does_not_take_is_refused_too() -> None:
    job = SaveReport()
    params = parameters.clean(job.params, {"report": "uploads", "filters": ["client=x"]}, "default")
    with pytest.raises(BadParameters, match=r"^Filter 'client' of report 'uploads': Enter a whole number\.$"):
        engine.apply(job, params, Options())
    with pytest.raises(BrokenJob, match=r"^ops\.save_report: There is no report 'gone'; there is: "):
        job.bind({"report": "gone", "windows": [], "filters": []})


def test_planned_it_says_what_differs_and_writes_nothing() -> None:
    samples.fill(ROWS)
    # Of today, when there is no row: a total for each window.
    assert command("run_job", "ops.save_report", "--report", "kept", "--dry-run").out.startswith(
        "Looked at 2 report results: 2 would change, 0 held, 0 refused."
    )
    assert not ReportResult.objects.exists()
    save()
    params = parameters.clean(SaveReport.params, {"report": "kept"}, "default")
    assert engine.plan_only(SaveReport(), params, Options(), AS_OF)[1].changes == 0
    samples.fill(ROWS[:2])
    assert engine.plan_only(SaveReport(), params, Options(), AS_OF)[1].changes == 2
    with pytest.raises(Refused, match="2 report results would change"):
        save(Options(guards=Guards(max_rows=1)))
    assert ReportResult.objects.count() == 7


def test_its_statements_are_shown() -> None:
    said = command("run_job", "ops.save_report", "--report", "kept", "--windows", "today", "--show-sql").out
    assert said.startswith("-- kept\nSELECT ")
    assert "report_sample" in said
    assert "-- ops/merge_report_results.sql\nWITH given AS (" in said
    plan = command("run_job", "ops.save_report", "--report", "kept", "--windows", "today", "--explain").out
    assert "report_sample" in plan
    assert not Run.objects.exists()


def test_as_many_queries_for_four_hundred_groups_as_for_ten() -> None:
    counts = []
    for groups in (10, 400):
        samples.fill([row(kind=f"kind {i}") for i in range(groups)])
        with CaptureQueriesContext(connection) as caught:
            _, job = save(as_of=AS_OF + timedelta(minutes=groups))
        assert job.counts["inserted"] == 2 * groups + 2
        counts.append(len(caught))
    assert counts[0] == counts[1]


def test_runs_may_be_forgotten_and_what_they_saved_stays() -> None:
    samples.fill(ROWS)
    run, _ = save()
    before = table()
    assert retention.prune("default", datetime(2099, 1, 1, tzinfo=UTC)).runs == 1
    assert not Run.objects.filter(pk=run.pk).exists()
    assert table() == before
    assert set(ReportResult.objects.values_list("run", flat=True)) == {None}


def test_a_slot_is_its_as_of_however_late_it_is_started() -> None:
    samples.fill(ROWS)
    schedule = Schedule(
        name="save-kept",
        job="ops.save_report",
        params={"report": "kept"},
        cron="5 0 * * *",
        zone="Asia/Seoul",
        missed="each",
    )
    with declared(schedule):
        begun(schedule, datetime(2026, 5, 18, 12, tzinfo=UTC))
        late = datetime(2026, 5, 20, 8, tzinfo=UTC)
        assert [one.outcome for one in start("save-kept", late)] == ["done", "done"]
        assert start("save-kept", late) == []
    due = [datetime(2026, 5, 18, 15, 5, tzinfo=UTC), datetime(2026, 5, 19, 15, 5, tzinfo=UTC)]
    assert sorted(set(ReportResult.objects.values_list("as_of", flat=True))) == due
    assert set(Run.objects.values_list("slot", "queue")) == {(instant, "fast") for instant in due}
