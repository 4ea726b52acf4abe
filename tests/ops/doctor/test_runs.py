"""What the doctor tells of runs that stand still; each test is named after its id."""

from datetime import timedelta

import pytest

from ops import clock
from ops.doctor import examine
from ops.models import MissedSlots, Run
from tests.ops.doctor.conftest import found, only

pytestmark = pytest.mark.django_db


def run(state: str, ago: timedelta, **more: object) -> Run:
    """Make a run that has been so for so long."""
    then = clock.now() - ago
    made = Run.objects.create(
        job="billing.reprice", verb="apply", scope="x", state=state, as_of=then, consent=True, **more
    )
    Run.objects.filter(pk=made.pk).update(created_at=then)
    return made


def test_nothing_is_wrong_with_runs_that_have_just_been_queued_or_stopped() -> None:
    run("queued", timedelta(minutes=1), queue="fast")
    assert found("W090", "W091", "W092") == []


def test_ops_w090_a_run_whose_process_is_gone() -> None:
    made = run("running", timedelta(minutes=5), owner_host="elsewhere", owner_pid=7, backend_pid=1)
    finding = only("W090")
    assert finding.found == (f"Run {made.pk} of billing.reprice is running, and its process (7 on elsewhere) is gone.")
    assert finding.mends == "manage.py sweep"
    assert finding.remedy is not None
    assert finding.remedy.says == f"carry run {made.pk} of billing.reprice on, as a sweep does"


def test_ops_w091_a_run_that_has_been_queued_for_long() -> None:
    made = run("queued", timedelta(hours=1), queue="slow")
    assert only("W091").found.startswith(f"Run {made.pk} of billing.reprice has been queued for slow since 20")


@pytest.mark.parametrize("state", ["stopped", "paused"])
def test_ops_w092_a_run_that_rests_for_long(state: str) -> None:
    made = run(state, timedelta(days=2))
    finding = only("W092")
    assert f"has been {state} since" in finding.found
    assert finding.mends == f"manage.py runs resume {made.pk}, or manage.py runs cancel {made.pk}"


def test_ops_i090_slots_that_were_missed_in_the_last_day() -> None:
    now = clock.now()
    MissedSlots.objects.create(schedule="nightly", first=now, last=now, count=3, reason="too late")
    MissedSlots.objects.create(
        schedule="old", first=now, last=now, count=1, reason="too late", at=now - timedelta(days=2)
    )
    report = examine("default", only=["ops.I090"])
    assert [one.found for one in report.findings] == ["Schedule 'nightly' missed 3 in the last day."]
    assert report.healthy
