"""`ops.save_report` killed at its commits, taken over, stopped: it has saved all of a report, or nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from ops.engine import control, parameters, sweeping
from ops.engine import run as engine
from ops.engine.lifecycle import Cancelled, Options, Stopped
from ops.engine.session import DatabaseTrouble
from ops.killing import Kill, killed
from ops.models import ReportResult, Run
from ops.reports import Count, Derived
from ops.reports.computing import Result
from ops.reports.saving import SaveReport, SavingCarrier
from tests.ops.reports import samples
from tests.ops.reports.kept import AS_OF, ROWS, Kept, registered
from tests.ops.reports.test_saving import save, table
from tests.ops.shop import other_connection

pytestmark = pytest.mark.django_db(transaction=True)

ALL = 7


@pytest.fixture(autouse=True)
def report() -> Iterator[None]:
    with registered():
        samples.fill(ROWS)
        yield
        Run.objects.filter(state__in=Run.UNFINISHED).update(state="cancelled")


def saved_once() -> None:
    """Assert that all is saved, by one run, which is done and says so."""
    run = Run.objects.get()
    assert (run.state, run.changed) == ("done", ALL)
    assert list(ReportResult.objects.values_list("run", flat=True)) == [run.pk] * ALL


@pytest.mark.smoke
def test_killed_right_at_each_commit_it_has_saved_all_or_nothing() -> None:
    save()
    clean = table()
    kill, kills = Kill(), 0
    while True:
        ReportResult.objects.all().delete()
        Run.objects.all().delete()
        if not killed(kill, "default", lambda: save() and None):
            break
        kills += 1
        there = ReportResult.objects.count()
        assert there in (0, ALL)
        # Its run says the same.
        states = set(Run.objects.values_list("state", "changed"))
        assert states <= ({("done", ALL)} if there else {("running", 0)})
        save()
        assert table() == clean
        assert set(Run.objects.values_list("state", flat=True)) == {"done"}
        kill = kill.next()
    # The run is opened, then it computes, saves and ends in one; the end is told twice.
    assert kills >= 4


@pytest.mark.parametrize("commit", [1, 2])
def test_a_sweep_carries_on_what_was_killed(commit: int) -> None:
    assert killed(Kill(commit, "after" if commit == 1 else "before"), "default", lambda: save() and None)
    assert not ReportResult.objects.exists()
    assert [one.outcome for one in sweeping.sweep("default", Options())] == ["done"]
    saved_once()
    # As of the instant of who began it.
    assert set(ReportResult.objects.values_list("as_of", flat=True)) == {AS_OF}


class Meanwhile:
    """Does something while a report is computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Callable[[Any, Run], None]) -> None:
        computed = SavingCarrier.compute

        def compute(carrier: SavingCarrier) -> Result:
            found = computed(carrier)
            with other_connection() as other, other.cursor() as cursor:
                act(cursor, carrier.run)
            return found

        monkeypatch.setattr(SavingCarrier, "compute", compute)


def test_a_late_owner_saves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Meanwhile(monkeypatch, lambda cursor, run: cursor.execute("UPDATE ops_run SET fence = fence + 1"))
    with pytest.raises(Stopped, match="was taken over or stopped by someone else"):
        save()
    # The run is the new owner's to end.
    assert (Run.objects.get().state, ReportResult.objects.exists()) == ("running", False)


def test_cancelled_while_it_computes_it_saves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Meanwhile(monkeypatch, lambda cursor, run: cursor.execute("UPDATE ops_run SET wish = 'cancel'"))
    with pytest.raises(Cancelled):
        save()
    assert (Run.objects.get().state, ReportResult.objects.exists()) == ("cancelled", False)


def test_paused_it_is_carried_on_when_it_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    Meanwhile(monkeypatch, lambda cursor, run: cursor.execute("UPDATE ops_run SET wish = 'pause'"))
    with pytest.raises(Stopped, match="was paused"):
        save()
    assert (Run.objects.get().state, ReportResult.objects.exists()) == ("paused", False)
    monkeypatch.undo()
    control.carry_on(Run.objects.get(), Options())
    saved_once()


def test_asked_to_stop_it_stops_resumably() -> None:
    options = Options()
    options.stop.set()
    with pytest.raises(Stopped, match=r"^Run \d+ wrote nothing yet: 'manage\.py runs resume \d+' carries it on\.$"):
        save(options)
    assert (Run.objects.get().state, ReportResult.objects.exists()) == ("stopped", False)
    control.carry_on(Run.objects.get(), Options())
    saved_once()


def test_an_error_of_the_database_leaves_nothing_and_says_so() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ops_reportresult ADD CONSTRAINT no_totals CHECK (\"group\" <> '{}')")
    try:
        with pytest.raises(DatabaseTrouble, match=r"^Applying ops\.save_report: new row .* violates check constraint"):
            save()
        assert (Run.objects.get().state, ReportResult.objects.exists()) == ("failed", False)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE ops_reportresult DROP CONSTRAINT no_totals")


def test_a_report_that_fails_leaves_nothing_and_the_next_one_is_not_in_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Kept, "measures", {"count": Count(), "broken": Derived("count / 0")})
        with pytest.raises(DatabaseTrouble, match="division by zero"):
            save()
    run = Run.objects.get()
    assert (run.state, ReportResult.objects.exists()) == ("failed", False)
    assert "division by zero" in run.message
    run.delete()
    save()
    saved_once()


def test_a_report_that_is_another_when_its_run_is_carried_on_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    params = parameters.clean(SaveReport.params, {"report": "kept", "windows": ["today"]}, "default")
    run = engine.enqueue(SaveReport(), params, Options(), AS_OF)
    monkeypatch.setattr(Kept, "time", "noted")
    swept = sweeping.nudge("default", run, Options())
    assert (swept.outcome, Run.objects.get().state) == ("failed", "failed")
    assert "noted is a timestamp without time zone" in swept.message


def test_a_run_that_is_queued_is_carried_by_a_worker() -> None:
    params = parameters.clean(SaveReport.params, {"report": "kept"}, "default")
    run = engine.enqueue(SaveReport(), params, Options(queue="fast"), AS_OF)
    assert (run.state, ReportResult.objects.exists()) == ("queued", False)
    assert sweeping.nudge("default", run, Options()).outcome == "done"
    saved_once()
