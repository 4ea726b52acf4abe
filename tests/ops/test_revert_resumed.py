"""A revert that is killed, stopped or blocked goes on: every row once, what was edited since stays and is listed."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from ops.models import Hold, Run
from tests.ops.counters import INCREMENT, acts, gate, make_counters, opened, sizes, values
from tests.ops.shop import changed_rows, command, ended, manage, other_connection
from tests.ops.test_control import wait_for_loss
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

PATIENT = ("--no-input", "--lock-timeout", "30000")
NORMALISE = ("run_job", "shelf.normalise", "--no-input", "--batch-size", "50")
EDITED, GONE = 7, 8


def applied(*words: str) -> Run:
    """Return a run over 400 counters in batches of 50."""
    make_counters()
    assert command(*(words or (*INCREMENT, "--batch-size", "50"))).code == 0
    return opened()


def edit() -> None:
    """Edit a row and delete another, as people do after a run."""
    Counter.objects.filter(pk=EDITED).update(v=99, note="mine")
    Counter.objects.filter(pk=GONE).delete()


def killed(run: Run, batches: int) -> Run:
    """Return the revert of a run that was killed in its next batch after so many."""
    with gate() as closed:
        process = manage("runs", "revert", str(run.pk), *PATIENT)
        closed.wait()
        for _ in range(batches):
            closed.let_one_through()
            closed.wait()
        process.send_signal(signal.SIGKILL)
        ended(process)
        back = opened()
        wait_for_loss(back)
    assert (back.verb, back.state, back.batches) == ("revert", "running", batches)
    return back


def by_resume(back: Run, run: Run) -> Any:
    return command("runs", "resume", str(back.pk), "--no-input")


def by_sweep(back: Run, run: Run) -> Any:
    return command("sweep")


def by_starting_again(back: Run, run: Run) -> Any:
    said = command("runs", "revert", str(run.pk), "--no-input")
    assert f"\nRun {back.pk} has set {back.changed} of them back and goes on: " in said.out
    return said


WAYS = pytest.mark.parametrize("carry_on", [by_resume, by_sweep, by_starting_again])


@WAYS
@pytest.mark.parametrize("batches", [0, 3, 7])
def test_killed_between_its_batches_it_goes_on_and_takes_every_row_back_once(
    batches: int, carry_on: Callable[[Run, Run], Any]
) -> None:
    run = applied()
    assert len(sizes(run)) == 8
    edit()
    back = killed(run, batches)
    assert values()[0] if batches else 0 not in values()
    said = carry_on(back, run)
    assert (said.code, said.error) == (0, "")
    assert Run.objects.count() == 2
    back.refresh_from_db()
    assert (back.state, back.changed, back.left_alone) == ("done", 398, 2)
    assert values() == {0: 398, 99: 1}
    # Each row once: the changesets of the revert are those of the run, less what was edited, the other way round.
    assert sorted(changed_rows(back)) == sorted(
        (key, after, before) for key, before, after in changed_rows(run) if int(key) not in (EDITED, GONE)
    )
    assert f"\nleft alone  {EDITED}, {GONE}\n" in command("runs", "show", str(back.pk)).out
    assert json.loads(command("runs", "show", str(back.pk), "--json").out)["plan"]["edited"] == [["7"], ["8"]]


@WAYS
def test_the_undo_of_an_undo_that_was_killed_writes_again_once(carry_on: Callable[[Run, Run], Any]) -> None:
    run = applied()
    edit()
    assert command("runs", "revert", str(run.pk), "--no-input").code == 0
    back = opened()
    Counter.objects.filter(pk=9).update(v=98)
    again = killed(back, 4)
    assert again.reverts_id == back.pk
    said = carry_on(again, back)
    assert (said.code, said.error) == (0, "")
    again.refresh_from_db()
    assert (again.state, again.changed, again.left_alone) == ("done", 397, 1)
    assert values() == {1: 397, 98: 1, 99: 1}


def test_the_holds_of_a_revert_that_was_killed_are_complete_when_it_is_done() -> None:
    run = applied(*NORMALISE)
    edit()
    back = killed(run, 3)
    # What is back already is held at once: a sweep of the job in between would write it again.
    assert Hold.objects.filter(run=back).count() == back.changed == 150
    assert by_resume(back, run).code == 0
    assert Hold.objects.filter(run=back).count() == 398
    checked = command("run_job", "shelf.normalise", "--check")
    assert "Looked at 399 counters: 1 would change, 398 held, 0 refused." in checked.out
    assert command("runs", "revert", str(back.pk), "--no-input").code == 0
    assert not Hold.objects.exists()


def test_while_a_revert_is_unfinished_no_other_run_of_the_job_begins() -> None:
    run = applied()
    back = killed(run, 2)
    said = command(*INCREMENT)
    assert said.code == 3
    assert said.error.startswith(f"Run {back.pk} (revert of shelf.increment, ")
    assert f"'manage.py runs resume {back.pk}' carries it on" in said.error
    assert by_sweep(back, run).out == f"Run {back.pk} of shelf.increment: done\n"


def test_a_row_that_is_locked_stops_a_revert_resumably_after_its_attempts() -> None:
    run = applied()
    with other_connection() as other, other.cursor() as cursor:
        other.autocommit = False
        cursor.execute("SELECT id FROM shelf_counter WHERE id = 100 FOR UPDATE")
        said = command("runs", "revert", str(run.pk), "--no-input", "--lock-timeout", "50")
        other.rollback()
    back = opened()
    assert (said.code, back.state, back.message) == (4, "stopped", said.error)
    assert [line.partition(":")[0] for line in said.err.splitlines()] == [f"Attempt {i} of 5" for i in range(1, 6)]
    assert "another session holds a lock" in said.error
    assert said.error.endswith(f"'manage.py runs resume {back.pk}' carries it on.")
    assert acts(back) == ["opened", *["blocked"] * 5, "stopped"]
    assert values() == {0: back.changed, 1: 400 - back.changed}
    assert by_resume(back, run).code == 0
    assert values() == {0: 400}


def test_a_revert_is_paused_and_goes_on() -> None:
    run = applied()
    with gate() as closed:
        process = manage("runs", "revert", str(run.pk), *PATIENT)
        closed.wait()
        back = Run.objects.get(state="running")
        assert "told to pause; it does so after its batch" in command("runs", "pause", str(back.pk)).out
        closed.open()
        code, _, err = ended(process)
    sentence = f"Run {back.pk} was paused: 'manage.py runs resume {back.pk}' carries it on."
    assert (code, err) == (4, f"CommandError: {sentence}\n")
    again = command("runs", "revert", str(run.pk), "--no-input")
    assert (again.code, values()) == (3, {0: 50, 1: 350})
    assert again.error.startswith(f"Run {back.pk} of shelf.increment is paused: ")
    assert by_resume(back, run).code == 0
    assert values() == {0: 400}


def test_a_revert_that_is_cancelled_leaves_what_it_took_back() -> None:
    run = applied()
    back = killed(run, 2)
    said = command("runs", "cancel", str(back.pk))
    assert said.code == 0
    assert (opened().state, values()) == ("cancelled", {0: 100, 1: 300})
    assert command("runs", "revert", str(run.pk), "--no-input").code == 0
    assert values() == {0: 400}
