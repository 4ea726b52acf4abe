"""A refresh, or a rebuild, that is killed right before or right after any of its commits leaves every answer right."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest

from ops import clock
from ops.engine import parameters, sweeping
from ops.engine import registry as jobs
from ops.engine import run as engine
from ops.engine.lifecycle import Options
from ops.engine.session import Session
from ops.killing import Kill, killed
from ops.models import Run
from ops.reports import registry as reports
from ops.reports.rollup_verifying import verify
from tests.ops.reports import rolled
from tests.ops.reports.rolled import AS_OF, ByHour, Events, ask, assert_same, both, refresh, registered

pytestmark = pytest.mark.django_db(transaction=True)

KILLS = 400
"""So many kills no test of these few batches needs."""


@pytest.fixture(autouse=True)
def _events(transactional_db: None) -> Iterator[None]:
    rolled.make()
    try:
        with registered(Events, ByHour):
            rolled.fill(30)
            yield
    finally:
        rolled.remove()


def carry(*, sweep: bool, **params: object) -> None:
    """Start the job, or have a sweep carry it on; in the process that is to be killed."""
    job = jobs.find("ops.refresh_rollup")
    options = Options(batch_size=4, losses=KILLS)
    if sweep:
        found = sweeping.sweep("default", options)
        assert [one.outcome for one in found] in ([], ["done"]), found
        return
    engine.apply(job, parameters.clean(job.params, params, "default"), options)


def killed_until_done(**params: object) -> tuple[int, Run]:
    """Kill the job at each edge of each commit until it is done, and look at every answer after each kill."""
    wanted = [both(report())[1].totals for report in (Events, ByHour)]
    kills, kill, before = 0, Kill(), None
    while True:
        sweep = kills % 2 == 1 and Run.objects.exists()
        hit = killed(kill, "default", partial(carry, sweep=sweep, **params))
        kills += hit
        assert kills < KILLS
        runs = list(Run.objects.filter(verb="apply"))
        for run in runs:
            # What the killed one held, its connection and locks, goes a moment after it.
            while Session("default").execute("ops/find_owner.sql", {"run": run.pk})[0][0]:
                clock.pause(0.005)
        for report, totals in zip((Events, ByHour), wanted, strict=True):
            ours, theirs = both(report())
            assert (repr(ours.totals), repr(theirs.totals)) == (repr(totals), repr(totals)), kill
        if runs and runs[-1].state == Run.State.DONE:
            assert len(runs) == 1
            return kills, runs[0]
        assert hit, [run.state for run in runs]
        now = [(run.plan is None, run.consent, run.cursor) for run in runs]
        kill, before = (kill.next() if now == before else Kill()), now


def assert_right(*names: str) -> None:
    """Assert that nothing is left to do and every sum is what the source has."""
    for name in names:
        assert rolled.touched(name) == []
        found = verify(reports.find(name), "default")
        assert (found.differing, found.compared > 0) == (0, True)


def test_a_killed_rebuild_is_carried_on() -> None:
    kills, run = killed_until_done(report="events", rebuild=True)
    # Before and after: the opening, the plan, the consent, the beginning, all that there is, the batches, the end.
    assert kills >= 14
    assert run.result == {"refreshed": ["events"], "passed_over": {}, "broken": [], "buckets": 10}
    assert run.batches == 3
    assert_right("events")
    assert_same(Events())


@pytest.mark.soak
def test_a_killed_refresh_of_all_is_carried_on() -> None:
    for report in (Events, ByHour):
        refresh(report.name, rebuild=True)
    Run.objects.all().delete()
    rolled.fill(10, at=AS_OF - timedelta(hours=2))
    ask("DELETE FROM rolled_event WHERE id %% 5 = %s", 0)
    kills, run = killed_until_done()
    assert kills >= 30
    assert run.result["refreshed"] == ["by_hour", "events"]
    assert_right("events", "by_hour")
    for report in (Events, ByHour):
        assert_same(report())


def test_a_killed_refresh_after_a_truncate_is_carried_on() -> None:
    refresh("by_hour", rebuild=True)
    Run.objects.all().delete()
    ask("TRUNCATE rolled_event")
    rolled.fill(9)
    killed_until_done(report="by_hour")
    assert_right("by_hour")
    assert assert_same(ByHour()).totals["last_30_days"][0]["values"]["count"] == 9
