"""`manage.py runs watch`: a run is followed to its end, with its progress, its events and its exit code."""

import json
import re
import signal

import pytest

from ops.models import Run
from tests.ops.counters import INCREMENT, acts, gate, lose_owner, make_counters, opened, slow, stopped, values
from tests.ops.shop import command, ended, manage, wait_until
from tests.ops.test_command_terminal import _terminals, terminal

pytestmark = pytest.mark.django_db(transaction=True)
at_a_terminal = pytest.mark.skipif(not _terminals(), reason="this machine hands out no pseudo-terminals")


def watch(run: Run, *more: str) -> tuple[str, ...]:
    return ("runs", "watch", str(run.pk), *more)


def test_without_a_terminal_it_prints_a_line_for_each_tenth_and_ends_with_the_run() -> None:
    make_counters()
    with gate() as closed:
        run_it = manage(*INCREMENT, "--batch-size", "40")
        closed.wait()
        run = Run.objects.get()
        watching = manage(*watch(run))
        closed.open()
        assert ended(run_it)[0] == 0
        code, out, err = ended(watching)
    assert (code, err.splitlines()[1:]) == (0, [])
    lines = out.splitlines()
    assert lines[-1] == f"Run {run.pk}: done; 400 rows written."
    assert lines[-2] == "400 of 400 rows (100 %)"
    assert all(re.fullmatch(r"\d+ of 400 rows \(\d+ %\)", line) for line in lines[:-1])


def test_it_shows_what_happens_meanwhile_and_ends_with_the_code_of_a_paused_run() -> None:
    make_counters()
    with gate() as closed:
        run_it = manage(*INCREMENT, "--batch-size", "100")
        closed.wait()
        run = Run.objects.get()
        watching = manage(*watch(run))
        # It has begun to watch: it has shown where the run is.
        assert watching.stdout is not None
        assert watching.stdout.readline() == "0 of 400 rows (0 %)\n"
        command("runs", "pause", str(run.pk))
        closed.open()
        assert ended(run_it)[0] == 4
        code, out, err = ended(watching)
    assert code == 4
    assert out.splitlines()[-1] == f"Run {run.pk}: paused, resumable; 100 rows written."
    told = err.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d KST asked to pause", told[0])
    assert told[1].endswith(f" paused: Run {run.pk} was paused: 'manage.py runs resume {run.pk}' carries it on.")
    assert told[2:] == [f"CommandError: Run {run.pk} was paused: 'manage.py runs resume {run.pk}' carries it on."]


@pytest.mark.parametrize(
    ("state", "message", "code", "sentence"),
    [
        ("done", "", 0, ""),
        ("planned", "", 0, ""),
        ("unverified", "3 rows differ again.", 1, "3 rows differ again."),
        ("failed", "The disk is full.", 1, "The disk is full."),
        ("refused", "Too many rows.", 3, "Too many rows."),
        ("cancelled", "", 3, "Run {} is cancelled."),
        ("stopped", "It was blocked.", 4, "It was blocked."),
    ],
)
def test_a_run_that_has_ended_gives_its_code_at_once(state: str, message: str, code: int, sentence: str) -> None:
    make_counters()
    run = stopped()
    Run.objects.filter(pk=run.pk).update(state=state, message=message, plan=None)
    said = command(*watch(run))
    shown = Run(state=state).get_state_display()
    assert (said.code, said.error) == (code, sentence.format(run.pk))
    assert said.out.endswith(f"Run {run.pk}: {shown}; 100 rows written.\n")
    found = command(*watch(run), "--json")
    assert (found.code, json.loads(found.out)["state"]) == (code, state)


def test_a_plan_wrote_nothing_and_a_revert_set_rows_back() -> None:
    make_counters()
    command("run_job", "shelf.increment", "--dry-run")
    assert command(*watch(opened())).out.endswith("planned; a plan writes nothing.\n")
    command(*INCREMENT)
    command("runs", "revert", str(opened().pk), "--no-input")
    assert command(*watch(opened())).out.endswith("done; 400 rows set back, 0 left alone.\n")


def test_it_says_when_the_owner_is_lost() -> None:
    make_counters()
    run = stopped()
    lose_owner(run)
    said = command(*watch(run))
    assert (said.code, said.out) == (4, "100 of 400 rows (25 %)\n")
    assert said.error == (
        f"Run {run.pk} has lost its owner after 100 rows: 'manage.py sweep' or 'manage.py runs resume {run.pk}' "
        "carries it on."
    )
    assert Run.objects.get().state == "running"


def test_it_sees_a_kill_while_it_watches() -> None:
    make_counters()
    with gate() as closed:
        run_it = manage(*INCREMENT)
        closed.wait()
        run = Run.objects.get()
        watching = manage(*watch(run))
        assert watching.stdout is not None
        watching.stdout.readline()
        run_it.kill()
        ended(run_it)
        code, _, err = ended(watching)
    assert (code, f"Run {run.pk} has lost its owner after 0 rows" in err) == (4, True)
    assert command("sweep").out == f"Run {run.pk} of shelf.increment: done\n"
    assert values() == {1: 400}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_watching_and_not_the_run(number: signal.Signals) -> None:
    make_counters()
    with gate() as closed:
        run_it = manage(*INCREMENT)
        closed.wait()
        run = Run.objects.get()
        watching = manage(*watch(run))
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.send_signal(number)
        code, out, err = ended(watching)
        assert (code, out, err) == (0, "", f"Not watching any more; run {run.pk} goes on.\n")
        closed.open()
        assert ended(run_it)[0] == 0
    assert acts(run) == ["opened", "done"]


@at_a_terminal
def test_at_a_terminal_it_is_a_bar() -> None:
    make_counters()
    with slow(0.3):
        run_it = manage(*INCREMENT, "--batch-size", "40")
        wait_until("it writes", changed__gt=0)
        run = Run.objects.get()
        with terminal(*watch(run)) as at:
            code, seen = at.end()
        assert ended(run_it)[0] == 0
    assert code == 0
    assert re.search(r"rows ━+ *\d+/400 left", seen)
    assert seen.endswith(f"Run {run.pk}: done; 400 rows written.\n")
    # What happens meanwhile stands on a line of its own, above the bar.
    assert re.search(r"\r\d{4}-\d\d-\d\d \d\d:\d\d:\d\d KST done\n", seen)
    assert max(len(line) for line in seen.replace("\r", "\n").splitlines()) <= 80


@at_a_terminal
def test_ctrl_c_at_a_terminal_leaves_it_tidy() -> None:
    make_counters()
    with gate() as closed:
        run_it = manage(*INCREMENT)
        closed.wait()
        run = Run.objects.get()
        with terminal(*watch(run)) as at:
            at.wait_for("0/400 left")
            at.process.send_signal(signal.SIGINT)
            code, seen = at.end()
        closed.open()
        assert ended(run_it)[0] == 0
    assert (code, f"Not watching any more; run {run.pk} goes on." in seen, "Traceback" in seen) == (0, True, False)
