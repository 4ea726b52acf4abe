"""Two workers, a message that comes again, a worker killed at any commit: one run for each slot, its rows once."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection, connections

from ops.clock import slots
from ops.engine import sweeping
from ops.engine.lifecycle import Options
from ops.engine.sweeping import Swept
from ops.killing import Kill, killed
from ops.models import Run
from tests.ops.clock.fakes import at, begun, declared, frontier, missed, nightly, runs, start
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

NOON = at("2026-11-24T12:00:00+09:00")
ONE = at("2026-11-25T01:00:00+09:00")
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _rows() -> Iterator[None]:
    Counter.objects.bulk_create([Counter(v=0, note="", email="") for _ in range(3)])
    yield
    Run.objects.filter(state__in=Run.UNFINISHED).update(state="cancelled")


def at_once(count: int, work: Callable[[], object]) -> list[object]:
    """Do the same in several threads, each with a connection of its own; return what each returned or raised."""
    gate = threading.Barrier(count)
    found: list[object] = []

    def act() -> None:
        try:
            connection.ensure_connection()
            gate.wait(10)
            found.append(work())
        except Exception as exc:
            found.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_of_six_workers_with_one_message_each_one_starts_the_slot() -> None:
    schedule = nightly(job="shelf.increment")
    with declared(schedule):
        begun(schedule, NOON)
        for n in range(4):
            found = at_once(6, lambda slot=ONE + n * DAY: start("nightly", slot))
            swept = [one for some in found if isinstance(some, list) for one in some]
            assert [one for one in found if isinstance(one, Exception)] == []
            assert [one.outcome for one in swept if isinstance(one, Swept)].count("done") >= 1
    assert runs() == [(ONE + n * DAY, "done") for n in range(4)]
    assert set(Counter.objects.values_list("v", flat=True)) == {4}
    assert missed() == []


def test_a_worker_that_is_opening_the_run_keeps_the_other_waiting() -> None:
    """The second one stands at the first one's row until that commits, and then finds nothing to do."""
    opening, let_go = threading.Event(), threading.Event()

    def hold(run: Run) -> None:
        opening.set()
        assert let_go.wait(10)

    schedule = nightly(job="shelf.increment")
    found: list[list[Swept]] = []

    def first() -> None:
        found.append(start("nightly", ONE, opened=hold))
        connections.close_all()

    def second() -> None:
        found.append(start("nightly", ONE))
        connections.close_all()

    with declared(schedule):
        begun(schedule, NOON)
        one = threading.Thread(target=first)
        one.start()
        assert opening.wait(10)
        two = threading.Thread(target=second)
        two.start()
        two.join(0.3)
        assert two.is_alive()
        let_go.set()
        one.join(10)
        two.join(10)
    assert sorted(len(swept) for swept in found) == [0, 1]
    assert runs() == [(ONE, "done")]
    assert set(Counter.objects.values_list("v", flat=True)) == {1}


def test_one_that_looks_and_one_that_starts_do_not_settle_a_slot_twice() -> None:
    minutely = nightly(every=timedelta(minutes=1))
    with declared(minutely):
        begun(minutely, NOON)
        for n in range(1, 6):
            now = NOON + timedelta(minutes=10 * n, seconds=30)
            at_once(2, lambda now=now: start("nightly", now))
            at_once(2, lambda now=now: slots.look("default", now))
    ran = [slot for slot, _ in runs()]
    assert ran == [NOON + timedelta(minutes=10 * n) for n in range(1, 6)]
    assert sum(count for _, _, count, _ in missed()) + len(ran) == 50
    assert frontier()[0] == ran[-1]


def edges(work: Callable[[int], Callable[[], None]], after: Callable[[int], None]) -> int:
    """Kill a process at each edge of each of its commits, one after the other; return how many there were."""
    kill, number = Kill(), 0
    while killed(kill, "default", work(number)):
        after(number)
        kill, number = kill.next(), number + 1
    after(number)
    return number


def test_killed_at_any_commit_a_slot_has_one_run_and_its_rows_are_written_once() -> None:
    schedule = nightly(job="shelf.increment")

    def work(number: int) -> Callable[[], None]:
        return lambda: start("nightly", ONE + number * DAY, batch_size=2) and None

    def again(number: int) -> None:
        slot = ONE + number * DAY
        # The message comes again, twice, and the sweeper looks.
        start("nightly", slot + timedelta(seconds=1))
        sweeping.sweep("default", Options())
        start("nightly", slot + timedelta(seconds=2))
        assert runs()[-1] == (slot, "done")
        assert set(Counter.objects.values_list("v", flat=True)) == {number + 1}

    with declared(schedule):
        begun(schedule, NOON)
        found = edges(work, again)
    assert found >= 16
    assert [slot for slot, _ in runs()] == [ONE + n * DAY for n in range(found + 1)]
    assert (missed(), frontier()[0]) == ([], ONE + found * DAY)


def test_killed_at_any_commit_a_missed_slot_is_recorded_once() -> None:
    schedule = nightly(missed="skip")

    def work(number: int) -> Callable[[], None]:
        return lambda: slots.look("default", ONE + number * DAY + timedelta(hours=1)) and None

    def again(number: int) -> None:
        slots.look("default", ONE + number * DAY + timedelta(hours=2))
        assert missed() == [(ONE, ONE + number * DAY, number + 1, "not started within 5 min")]

    with declared(schedule):
        begun(schedule, NOON)
        assert edges(work, again) >= 2
    assert runs() == []
