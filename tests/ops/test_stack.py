"""A real stack of PostgreSQL, Redis, workers, beat and sweeper: whatever is killed, nothing is lost, and nothing twice.

A counter's value says how often a row was written; a run adds 1 to each.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django_celery_results.models import TaskResult

from ops.models import Run
from tests.ops.counters import acts, make_counters, opened, slow, values
from tests.ops.stack import Stack, stack, until
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 400
ENQUEUE = ("run_job", "shelf.increment", "--no-input", "--batch-size", "50", "--enqueue")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Stack]:
    make_counters(ROWS)
    with stack(tmp_path, STACK_TASK_SECONDS="5", STACK_VISIBILITY="5") as found:
        yield found


def done(runs: int = 1) -> bool:
    return Run.objects.filter(state=Run.State.DONE).count() == runs


def writing() -> bool:
    return Run.objects.filter(state=Run.State.RUNNING, changed__gt=0).exists() or bool(
        Run.objects.filter(windows__batches__gt=0, state=Run.State.RUNNING).exists()
    )


def enqueue(made: Stack, *more: str) -> Run:
    said = made.manage(*ENQUEUE, *more)
    assert said.returncode == 0, said.stderr
    assert f"Run {opened().pk}: queued on slow; 'manage.py runs watch {opened().pk}' follows it." in said.stdout
    return opened()


def test_a_worker_killed_in_the_middle_a_broker_restarted_and_one_emptied(made: Stack) -> None:
    first = made.worker("first")
    made.sweeper()
    with slow(0.3):
        run = enqueue(made)
        until("it writes", writing)
        made.kill(first)
        made.worker("second")
        until("it is done", done)
    assert values() == {1: ROWS}
    assert {"queued", "lost", "done"} <= set(acts(run))
    # The broker dies and comes back while a run is at work, and another waits.
    with slow(0.3):
        enqueue(made)
        until("it writes", writing)
        made.kill_broker()
        made.start_broker()
        until("it is done", lambda: done(2))
    assert values() == {2: ROWS}
    # All that the broker had is gone, before anybody took it.
    with slow(0.3):
        enqueue(made)
        until("it writes", writing)
        said = made.manage("run_job", "shelf.increment_range", "--no-input", "--enqueue")
        assert said.returncode == 0, said.stderr
        made.client().flushall()
        until("both are done", lambda: done(4))
    assert values() == {4: ROWS}


@pytest.mark.soak
def test_a_run_longer_than_a_task_goes_on_in_the_next_and_one_is_shared_by_two_workers(made: Stack) -> None:
    made.worker("first")
    made.worker("second")
    with slow(0.8):
        # 8 batches of 0.8 s do not fit into a task of 5 s.
        said = made.manage(*ENQUEUE, "--wait", "--json")
    assert said.returncode == 0, said.stderr
    run = opened()
    assert (run.state, values()) == ("done", {1: ROWS})
    assert acts(run).count("queued") >= 2
    results = TaskResult.objects.filter(task_name="ops.advance", status="SUCCESS")
    until("each message has its result", lambda: results.count() >= 2)
    # Run and results name each other, and say by whom.
    assert str(run.pk) in results.first().task_kwargs
    assert run.task_id in set(results.values_list("task_id", flat=True))
    assert all(f'"run": {run.pk}' in one.result for one in results)
    # Windows of 20,000 rows, carried by two workers on what could be two hosts.
    Counter.objects.all().delete()
    make_counters(60_000)
    with slow(0.2):
        run = enqueue(made, "--workers", "2", "--batch-size", "2000")
        until("two processes carry it", lambda: run.windows.values("pid").distinct().count() == 2)
        until("it is done", lambda: done(2))
    assert values() == {1: 60_000}


@pytest.mark.soak
def test_a_worker_that_is_told_to_leave_ends_its_batch_and_hands_the_run_on(made: Stack) -> None:
    first = made.worker("first")
    with slow(0.5):
        run = enqueue(made)
        until("it writes", writing)
        # To the whole group, as honcho and systemd do.
        os.killpg(first.pid, signal.SIGTERM)
        assert first.wait(30) == 0
        made.processes.remove(first)
        run.refresh_from_db()
        # No batch was rolled back, and no process was lost.
        assert (run.state, "lost" in acts(run)) == ("queued", False)
        made.worker("second")
        until("it is done", done)
    assert values() == {1: ROWS}


def test_a_failed_run_is_a_failed_task_with_its_reason(made: Stack) -> None:
    made.worker("first")
    said = made.manage(*ENQUEUE, "--max-rows", "10", "--wait")
    assert said.returncode == 3
    assert "more than --max-rows 10" in said.stderr or "--max-rows" in said.stderr
    result = until("its result", lambda: TaskResult.objects.filter(status="FAILURE").first())
    assert "--max-rows" in result.result
    assert "Traceback" in result.traceback
    assert values() == {0: ROWS}


def test_beat_starts_what_is_declared_once_a_slot_though_there_are_two_beats(made: Stack) -> None:
    assert made.manage("sync_schedules", "--no-input").returncode == 0
    made.worker("first")
    beats = [made.beat("beat one"), made.beat("beat two")]
    until("three slots have run", lambda: done_of_schedule() >= 3)
    made.kill(beats[0])
    before = done_of_schedule()
    until("the other goes on", lambda: done_of_schedule() >= before + 2)
    made.kill(beats[1])
    # Without any beat the sweeper sees that slots are overdue.
    made.sweeper()
    results = TaskResult.objects.filter(task_name="ops.start_slot", status="SUCCESS")
    # Those that beat has sent name its row; those of the sweeper do not.
    until("it goes on without beat", results.filter(periodic_task_name=None).exists)
    made.stop()
    slots = list(Run.objects.exclude(slot=None).values_list("schedule", "slot"))
    assert len(slots) == len(set(slots))
    runs = Run.objects.filter(schedule="every second", state="done").count()
    assert {runs, runs + 1} & set(values())
    assert {"every second", None} == set(results.values_list("periodic_task_name", flat=True))


def done_of_schedule() -> int:
    return Run.objects.filter(schedule="every second", state=Run.State.DONE).count()


@pytest.mark.soak
def test_a_message_that_is_delivered_four_times_makes_one_run(tmp_path: Path) -> None:
    """Four workers get the same message, as when the visibility timeout passes while the first is at work."""
    make_counters(ROWS)
    with stack(tmp_path) as made:
        with slow(1):
            run = enqueue(made)
            message = made.client().lindex("setwise:slow", 0)
            made.client().lpush("setwise:slow", message, message, message)
            for name in NAMES:
                made.worker(name)
            until("it is done", done, 90)
            received = [made.log(name).count(f"'run': {run.pk}") + made.log(name).count("received") for name in NAMES]
        assert values() == {1: ROWS}
        assert sum(received) >= 4, received
        assert acts(run).count("queued") == 1


NAMES = ("first", "second", "third", "fourth")
