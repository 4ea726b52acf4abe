"""Ctrl-C and TERM: once stops after the batch, twice leaves at once, and the run goes on later with nothing lost."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from ops.models import Run
from tests.ops.counters import INCREMENT, Gate, gate, make_counters, opened, slow, stopped, values
from tests.ops.shop import Said, command, ended, manage, other_connection, wait_until
from tests.ops.test_command_terminal import _terminals, terminal
from tests.ops.test_control import alive, hands, wait_for
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)
at_a_terminal = pytest.mark.skipif(not _terminals(), reason="this machine hands out no pseudo-terminals")

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "TERM"])
TOLD = "Stopping after this batch; once more leaves at once (nothing is lost either way).\n"
NORMALISE = ("run_job", "shelf.normalise", "--no-input", "--lock-timeout", "30000")


def heard(process: "subprocess.Popen[str]", number: signal.Signals, told: str = TOLD) -> None:
    """Send a signal and wait until the process has said that it stops."""
    process.send_signal(number)
    assert process.stderr is not None
    before = []
    while (line := process.stderr.readline()) != told:
        assert line, before
        before.append(line)


def resumed(run: Run, rows: int = 400) -> None:
    """Assert that a run goes on to its end, and that no row was treated twice."""
    said = command("runs", "resume", str(run.pk), "--no-input")
    assert said.code == 0, said.error
    assert (Run.objects.get(pk=run.pk).state, values()) == ("done", {1: rows})


@contextmanager
def at_the_gate(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """Give a process whose first batch stands before a gate, which opens at the end."""
    with gate() as closed:
        process = manage(*words)
        try:
            closed.wait()
            yield process
        except BaseException:
            process.kill()
            process.communicate()
            raise


@BOTH
def test_once_stops_after_the_batch_and_says_what_carries_it_on(number: signal.Signals) -> None:
    make_counters()
    with at_the_gate(*INCREMENT, "--batch-size", "100") as process:
        heard(process, number)
    code, out, err = ended(process)
    run = opened()
    sentence = f"Run {run.pk} stopped after 100 rows, as asked: 'manage.py runs resume {run.pk}' carries it on."
    assert (code, err) == (4, f"CommandError: {sentence}\n")
    assert "100 of 400 rows (25 %)\n" in out
    assert (run.state, run.message, values()) == ("stopped", sentence, {0: 300, 1: 100})
    resumed(run)


@BOTH
def test_twice_cancels_the_statement_that_runs_and_leaves(number: signal.Signals) -> None:
    make_counters()
    with slow(20):
        process = manage(*INCREMENT)
        wait_until("it is at work", state="running", windows__done=False)
        heard(process, number)
        process.send_signal(number)
        code, _, err = ended(process)
        run = opened()
        sentence = (
            f"Run {run.pk} was left at once after 0 rows, its last batch rolled back: "
            f"'manage.py runs resume {run.pk}' carries it on."
        )
        assert (code, err) == (4, f"CommandError: {sentence}\n")
        # It is gone before the statement would have ended.
        assert (run.state, run.message, values()) == ("stopped", sentence, {0: 400})
    resumed(run)


def test_twice_while_a_row_is_waited_for_leaves_what_was_committed() -> None:
    make_counters()
    with other_connection() as other, other.cursor() as cursor:
        process = manage(*INCREMENT, "--batch-size", "100")
        other.autocommit = False
        cursor.execute("SELECT id FROM shelf_counter WHERE id = ANY(%s) FOR UPDATE", [list(range(1, 401))])
        try:
            wait_until("it is at work", state="running", windows__done=False)
            heard(process, signal.SIGINT)
            process.send_signal(signal.SIGINT)
            code, _, err = ended(process)
        finally:
            other.rollback()
    assert (code, "was left at once after" in err) == (4, True)
    resumed(opened())


# Before anything is written


@contextmanager
def planning(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """Give a process whose plan waits for a table that somebody else holds: that of the rows that are held."""
    with other_connection() as other, other.cursor() as cursor:
        other.autocommit = False
        cursor.execute("LOCK TABLE ops_hold IN ACCESS EXCLUSIVE MODE")
        process = manage(*words)
        try:
            wait_for("the plan waits", lambda: _waits("ops_hold"))
            yield process
        except BaseException:
            process.kill()
            process.communicate()
            raise
        finally:
            other.rollback()


def _waits(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE relation = %s::regclass AND NOT granted", [table])
        return cursor.fetchone() is not None


def test_once_during_the_plan_writes_nothing() -> None:
    make_counters()
    with planning(*NORMALISE) as process:
        heard(process, signal.SIGINT)
    code, _, err = ended(process)
    run = opened()
    assert (code, run.state, run.changed) == (4, "stopped", 0)
    assert err == f"CommandError: Run {run.pk} wrote nothing yet: 'manage.py runs resume {run.pk}' carries it on.\n"
    assert command("runs", "resume", str(run.pk), "--no-input").code == 0
    assert Counter.objects.filter(note="v is 0").count() == 400


def test_twice_during_the_plan_leaves_at_once_and_the_run_can_go_on() -> None:
    make_counters()
    with planning(*NORMALISE) as process:
        heard(process, signal.SIGINT)
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
    run = opened()
    assert (code, run.state) == (4, "stopped")
    assert f"'manage.py runs resume {run.pk}' carries it on." in err
    assert command("runs", "resume", str(run.pk), "--no-input").code == 0
    assert Counter.objects.filter(note="v is 0").count() == 400


def test_twice_during_a_dry_run_leaves_at_once() -> None:
    make_counters()
    with planning("run_job", "shelf.normalise", "--dry-run", "--lock-timeout", "30000") as process:
        heard(process, signal.SIGINT)
        process.send_signal(signal.SIGINT)
        code, out, err = ended(process)
    assert (code, out, opened().state) == (4, "", "failed")
    assert err == (
        "CommandError: Interrupted: what was committed stays; 'manage.py runs list' shows whether a run is "
        "unfinished.\n"
    )


@at_a_terminal
@BOTH
def test_at_the_question_it_is_a_no(number: signal.Signals) -> None:
    make_counters()
    with terminal("run_job", "shelf.increment") as at:
        at.wait_for("Write 400 rows? [y/N] ")
        at.process.send_signal(number)
        code, seen = at.end()
    assert (code, opened().state, values()) == (3, "cancelled", {0: 400})
    assert seen.endswith(f"CommandError: Declined: run {opened().pk} changed nothing.\n")
    assert "Stopping" not in seen
    assert "Traceback" not in seen


def test_while_writers_are_waited_for_it_wrote_nothing_yet() -> None:
    make_counters()
    with other_connection() as other, other.cursor() as cursor:
        other.autocommit = False
        cursor.execute("UPDATE shelf_counter SET note = 'mine' WHERE id = 1")
        process = manage(*INCREMENT)
        wait_until("it waits", state="running", events__what="waiting")
        heard(process, signal.SIGINT)
        code, _, err = ended(process)
        other.rollback()
    assert (code, opened().state) == (4, "stopped")
    assert f"Run {opened().pk} wrote nothing yet" in err
    resumed(opened())


# Several workers


@contextmanager
def two_at_the_gate(rows: int = 400) -> Iterator[tuple["subprocess.Popen[str]", Run, int, Gate]]:
    """Give a process with a second hand, a batch of each before a closed gate, and the process of that hand."""
    make_counters(rows)
    run = stopped(window=50)
    command("runs", "retune", str(run.pk), "--workers", "2")
    with gate() as closed:
        process = manage("runs", "resume", str(run.pk), "--no-input")
        try:
            closed.wait(2)
            assert process.stderr is not None
            assert process.stderr.readline().startswith(f"Carrying on run {run.pk}, opened ")
            (second,) = hands(run) - {process.pid}
            yield process, run, second, closed
        except BaseException:
            process.kill()
            process.communicate()
            raise


@BOTH
def test_once_lets_both_workers_end_their_batches_and_leave(number: signal.Signals) -> None:
    with two_at_the_gate(8_000) as (process, run, second, closed):
        heard(process, number)
        # The other hand is asked to leave once the owner has ended its batch; until then it goes on.
        closed.open()
        code, _, err = ended(process)
    assert (code, err.count("Stopping"), alive(second)) == (4, 0, False)
    run.refresh_from_db()
    assert run.state == "stopped"
    assert 150 <= run.changed < 8_000
    resumed(run, 8_000)


def test_twice_lets_no_worker_wait() -> None:
    with two_at_the_gate() as (process, run, second, _):
        heard(process, signal.SIGINT)
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
        assert (code, alive(second)) == (4, False)
        assert f"Run {run.pk} was left at once after 50 rows" in err
    run.refresh_from_db()
    assert (run.state, values()) == ("stopped", {0: 350, 1: 50})
    resumed(run)


def test_twice_does_not_wait_for_a_worker_that_does_not_leave() -> None:
    with two_at_the_gate() as (process, run, second, closed):
        os.kill(second, signal.SIGSTOP)
        heard(process, signal.SIGINT)
        before = run.batches
        closed.open()
        wait_for("its batch is done", lambda: Run.objects.get(pk=run.pk).batches > before)
        process.send_signal(signal.SIGINT)
        # Before the time in which a worker may end its batch is over.
        process.wait(timeout=20)
        code, _, _ = ended(process)
    assert (code, alive(second)) == (4, False)
    run.refresh_from_db()
    assert run.state == "stopped"
    resumed(run)


def test_a_killed_owner_takes_its_workers_with_it() -> None:
    with two_at_the_gate() as (process, run, second, closed):
        process.kill()
        ended(process)
        closed.open()
        wait_for("the second hand's end", lambda: not alive(second))
    assert command("sweep").code == 0
    assert (Run.objects.get(pk=run.pk).state, values()) == ("done", {1: 400})


# A revert, a thread


@pytest.mark.parametrize("times", [1, 2])
def test_a_revert_stops_after_its_batch_or_at_once_and_goes_on(times: int) -> None:
    make_counters()
    assert command(*INCREMENT, "--batch-size", "100").code == 0
    run = opened()
    with at_the_gate("runs", "revert", str(run.pk), "--no-input", "--lock-timeout", "30000") as process:
        heard(process, signal.SIGINT)
        if times == 2:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    code, _, err = ended(process)
    back = opened()
    assert (code, back.verb, back.state) == (4, "revert", "stopped")
    assert f"'manage.py runs resume {back.pk}' carries it on." in err
    assert values() == ({0: 100, 1: 300} if times == 1 else {1: 400})
    assert command("runs", "resume", str(back.pk), "--no-input").code == 0
    assert (opened().state, opened().changed, values()) == ("done", 400, {0: 400})


def test_a_command_gives_the_handlers_back() -> None:
    make_counters()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert command(*INCREMENT).code == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_in_a_thread_a_command_does_without_signals() -> None:
    make_counters()
    said: list[Said] = []

    def work() -> None:
        said.append(command(*INCREMENT))
        said.append(command("runs", "list"))
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [one.code for one in said] == [0, 0]
    assert values() == {1: 400}
