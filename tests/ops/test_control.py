"""What an operator does to a run from elsewhere: pause, cancel, retune, join; to one that is at work, and to others."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.contrib.auth import get_user_model
from django.db import Error, connection
from django.test import Client as Browser

from ops import clock
from ops.engine import owner
from ops.models import Run, RunEvent, Source, Window
from tests.ops.counters import (
    INCREMENT,
    Gate,
    acts,
    gate,
    lose_owner,
    make_counters,
    opened,
    sizes,
    slow,
    stopped,
    values,
)
from tests.ops.shop import Said, command, ended, manage, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def at_work(*words: str) -> Iterator[tuple[subprocess.Popen[str], Run, Gate]]:
    """Give a run of shelf.increment in a process of its own, whose first batch stands before a closed gate."""
    with gate() as closed:
        process = manage(*(words or (*INCREMENT, "--batch-size", "100")))
        try:
            closed.wait()
            yield process, Run.objects.get(state="running"), closed
        finally:
            process.kill()
            process.communicate()


def said(verb: str, run: Run, *more: str) -> Said:
    return command("runs", verb, str(run.pk), *more)


def refused(done: Said, sentence: str, code: int = 3) -> None:
    assert (done.code, done.error, done.out) == (code, sentence, "")


# pause


def test_a_run_at_work_pauses_after_its_batch_and_stays_paused_until_it_is_resumed() -> None:
    make_counters()
    with at_work() as (process, run, closed):
        told = said("pause", run)
        assert told.code == 0
        assert told.out.splitlines() == [
            f"Run {run.pk} of shelf.increment: told to pause; it does so after its batch.",
            f"'manage.py runs resume {run.pk}' carries it on.",
        ]
        assert "\nwish        pause, after the batch\n" in said("show", run).out
        closed.open()
        code, _, err = ended(process)
    sentence = f"Run {run.pk} was paused: 'manage.py runs resume {run.pk}' carries it on."
    assert (code, err) == (4, f"CommandError: {sentence}\n")
    run.refresh_from_db()
    assert (run.state, run.wish, run.message, run.changed) == ("paused", "", sentence, 100)
    assert values() == {0: 300, 1: 100}

    assert command("sweep").out == "No run is stale.\n"
    for start in (INCREMENT, (*INCREMENT, "--by", "2")):
        sentence = (
            f"Run {run.pk} of shelf.increment is paused: 'manage.py runs resume {run.pk}' carries it on, "
            f"'manage.py runs cancel {run.pk}' gives it up."
        )
        refused(command(*start), sentence)
    run.refresh_from_db()
    assert (run.state, values()) == ("paused", {0: 300, 1: 100})

    resumed = said("resume", run, "--no-input")
    assert (resumed.code, resumed.out.splitlines()[-1]) == (0, f"Run {run.pk}: 400 rows written in 4 batches.")
    assert (Run.objects.get().state, values()) == ("done", {1: 400})
    assert acts(run) == ["opened", "asked to pause", "paused", "resumed", "window taken", "done"]


def test_a_run_whose_process_was_killed_is_paused_at_once() -> None:
    make_counters()
    with at_work() as (process, run, _):
        process.kill()
        process.communicate()
        wait_for_loss(run)
        told = said("pause", run)
    assert told.out.startswith(f"Run {run.pk} of shelf.increment: paused.\n")
    assert command("sweep").out == "No run is stale.\n"
    run.refresh_from_db()
    assert (run.state, run.message) == ("paused", f"Paused by {owner.who()}.")
    assert said("resume", run, "--no-input").code == 0
    assert values() == {1: 400}


def wait_for_loss(run: Run) -> None:
    """Wait until the server has closed the connection of a killed process."""
    from ops.engine.session import Session

    until = clock.monotonic() + 30
    while owner.live_holder(Session("default"), run):
        assert clock.monotonic() < until, "the owner never went"


def test_a_run_that_was_told_to_pause_and_was_killed_first_is_paused_by_the_sweep() -> None:
    make_counters()
    with at_work() as (process, run, _):
        said("pause", run)
        process.kill()
        process.communicate()
        wait_for_loss(run)
    swept = command("sweep")
    assert (swept.code, swept.out) == (0, f"Run {run.pk} of shelf.increment: paused, as it had been asked to\n")
    assert (Run.objects.get().state, values()) == ("paused", {0: 400})


def test_a_stopped_run_is_paused_at_once_and_pausing_it_twice_does_no_harm() -> None:
    make_counters()
    run = stopped()
    for _ in range(2):
        assert said("pause", run).out == (
            f"Run {run.pk} of shelf.increment: paused.\n'manage.py runs resume {run.pk}' carries it on.\n"
        )
    assert acts(run) == ["opened", "stopped", "paused"]
    assert said("resume", run, "--no-input").code == 0
    refused(said("pause", run), f"Run {run.pk} is done: only an unfinished run can be paused.")


def test_pause_all_stops_everything_and_says_what() -> None:
    assert command("runs", "pause", "--all").out == "No run is unfinished.\n"
    make_counters()
    first = stopped()
    said("cancel", first)
    second = stopped()
    normalise = manage("run_job", "shelf.normalise", "--dry-run")
    ended(normalise)
    told = json.loads(command("runs", "pause", "--all", "--json").out)
    assert [(one["run"], one["state"], one["database"]) for one in told["runs"]] == [(second.pk, "paused", "default")]
    assert command("runs", "pause", "--all").out == "No run is unfinished.\n"
    assert said("resume", second, "--no-input").code == 0
    with at_work() as (process, run, closed):
        assert "told to pause; it does so after its batch." in command("runs", "pause", "--all").out
        closed.open()
        assert ended(process)[0] == 4
    assert Run.objects.get(pk=run.pk).state == "paused"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("pause",), "Give the run's ID, or --all, and not both."),
        (("pause", "1", "--all"), "Give the run's ID, or --all, and not both."),
        (("retune", "1"), "Say what to change: --batch-size, --target-time or --workers."),
        (
            ("retune", "1", "--batch-size", "5", "--target-time", "5"),
            "A batch has a fixed size or follows a target time: give --batch-size or --target-time.",
        ),
    ],
)
def test_what_makes_no_sense_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    Run.objects.create(pk=1, job="x", verb="apply", state="stopped", as_of=clock.now())
    refused(command("runs", *words), sentence, 2)
    assert Run.objects.get().wish == ""
    assert not RunEvent.objects.exists()


# cancel


def test_a_run_at_work_is_cancelled_after_its_batch() -> None:
    make_counters()
    with at_work() as (process, run, closed):
        told = said("cancel", run)
        closed.open()
        code, _, err = ended(process)
    assert told.out == f"Run {run.pk}: told to end; it does so after its batch, and what it wrote stays.\n"
    assert (code, err) == (3, f"CommandError: Run {run.pk} was cancelled: what it wrote stays, and can be reverted.\n")
    assert (Run.objects.get().state, values()) == ("cancelled", {0: 300, 1: 100})
    assert acts(run) == ["opened", "asked to cancel", "cancelled"]
    assert command(*INCREMENT).code == 0
    assert said("revert", run, "--no-input").code == 0


def test_a_run_whose_owner_is_gone_is_cancelled_at_once() -> None:
    make_counters()
    run = stopped()
    lose_owner(run)
    assert said("cancel", run).out == (
        f"Run {run.pk}: cancelled; it had written 100 rows, which stay: 'manage.py runs revert {run.pk}' takes them "
        "back.\n"
    )
    refused(said("resume", run, "--no-input"), f"Run {run.pk} is cancelled: only an unfinished run can be resumed.")


# retune


def test_another_batch_size_counts_from_the_next_batch() -> None:
    make_counters(600)
    with at_work() as (process, run, closed):
        told = said("retune", run, "--batch-size", "50")
        assert told.out == f"Run {run.pk}: from the next batch on 50 rows a batch, 1 worker.\n"
        assert "\ngoes on     in batches of 50, 1 worker\n" in said("show", run).out
        closed.open()
        assert ended(process)[0] == 0
    assert sizes(run) == [100] + [50] * 10
    assert acts(run) == ["opened", "retuned", "done"]
    assert run.events.get(what="retuned").detail == "batch_size 50"


def test_a_target_time_instead_of_a_size_lets_batches_grow_by_at_most_double() -> None:
    make_counters(2_000)
    with at_work() as (process, run, closed):
        told = said("retune", run, "--target-time", "30000")
        assert told.out == f"Run {run.pk}: from the next batch on as many rows as take 30,000 ms a batch, 1 worker.\n"
        closed.open()
        assert ended(process)[0] == 0
    assert sizes(run) == [100, 100, 200, 400, 800, 400]
    assert run.events.get(what="retuned").detail == "target_time 30000, batch_size by time"


def test_a_stopped_run_goes_on_as_it_was_retuned() -> None:
    make_counters(600)
    run = stopped()
    told = json.loads(said("retune", run, "--batch-size", "250", "--json").out)
    assert (told["batch_size"], told["state"]) == (250, "stopped")
    said("resume", run, "--no-input")
    assert sizes(run) == [100, 250, 250]
    refused(said("retune", run, "--workers", "2"), f"Run {run.pk} is done: only an unfinished run can be retuned.")


def test_a_revert_and_an_atomic_run_have_nothing_to_retune() -> None:
    make_counters()
    command(*INCREMENT)
    said("revert", opened(), "--no-input")
    back = opened()
    Run.objects.filter(pk=back.pk).update(state="stopped")
    refused(
        said("retune", back, "--batch-size", "5"),
        f"Run {back.pk} is a revert: its batches are not its own; there is nothing to retune.",
    )
    Run.objects.filter(pk=back.pk).update(verb="apply", atomic=True)
    refused(said("retune", back, "--workers", "2"), f"Run {back.pk} is atomic: one batch; there is nothing to retune.")


def hands(run: Run) -> set[int]:
    return set(Window.objects.filter(run=run, done=False).values_list("pid", flat=True))


def alive(pid: int) -> bool:
    """Tell whether a process of this host still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(what: str, found: object) -> None:
    until = clock.monotonic() + 60
    while not found():  # type: ignore[operator]  # a function
        assert clock.monotonic() < until, what
        clock.pause(0.02)


@pytest.mark.soak
def test_workers_come_and_go_while_the_run_goes_on() -> None:
    make_counters(6_000)
    # Windows of 20 rows: there is always one to claim.
    run = stopped(window=20)
    with slow(0.05):
        process = manage("runs", "resume", str(run.pk), "--no-input")
        wait_until("it is at work", pk=run.pk, state="running", windows__done=False)
        assert hands(run) <= {process.pid}
        # Each time: hands that left because they were asked to do not count as lost.
        for _ in range(3):
            assert said("retune", run, "--workers", "2").out.startswith(
                f"Run {run.pk}: from the next batch on 100 rows a batch, 2 workers.\n"
            )
            wait_for("a second hand", lambda: hands(run) - {process.pid})
            (second,) = hands(run) - {process.pid}
            said("retune", run, "--workers", "1")
            wait_for("the second hand's end", lambda second=second: not alive(second))
            # More than one batch of the first hand later, it is the only one.
            before = Run.objects.get(pk=run.pk).batches
            wait_for("more batches", lambda before=before: Run.objects.get(pk=run.pk).batches > before + 3)
            assert hands(run) <= {process.pid}
    assert ended(process)[::2] == (0, f"Carrying on run {run.pk}, opened {clock.shown(run.created_at)}.\n")
    assert values() == {1: 6_000}
    assert sum(sizes(run)) == 6_000
    assert "hand left" not in acts(run)
    assert Run.objects.get(pk=run.pk).state == "done"


# join


def test_a_hand_joins_a_run_of_another_process_and_leaves_when_nothing_is_left() -> None:
    make_counters(2_000)
    run = stopped(window=50)
    refused(
        said("join", run),
        f"Run {run.pk} is stopped, resumable and has no work to share: only a run that writes has.",
    )
    with slow(0.1):
        process = manage("runs", "resume", str(run.pk), "--no-input")
        wait_until("it is at work", pk=run.pk, state="running", windows__done=False)
        joined = manage("runs", "join", str(run.pk), "--json")
        code, out, err = ended(joined)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["run"], found["wrote"] > 0) == (run.pk, True)
    assert ended(process)[0] == 0
    assert values() == {1: 2_000}


# The record


def test_every_act_is_an_event_that_says_who_and_when() -> None:
    make_counters()
    before = clock.now()
    run = stopped()
    said("pause", run)
    said("retune", run, "--batch-size", "10")
    said("cancel", run)
    events = list(run.events.order_by("pk"))
    assert [event.what for event in events] == ["opened", "stopped", "paused", "retuned", "cancelled"]
    assert {event.who for event in events} == {owner.who()}
    assert sorted(event.at for event in events) == [event.at for event in events]
    assert events[0].at.replace(microsecond=0) >= before.replace(microsecond=0)
    assert [event["what"] for event in json.loads(said("show", run, "--json").out)["events"]] == acts(run)


def test_events_cannot_be_rewritten() -> None:
    make_counters()
    run = stopped()
    with pytest.raises(Error, match="append-only"), connection.cursor() as cursor:
        cursor.execute("UPDATE ops_runevent SET who = 'nobody' WHERE run_id = %s", [run.pk])
    assert set(run.events.values_list("who", flat=True)) == {owner.who()}


# In the admin


@pytest.fixture
def browser(transactional_db: None) -> Browser:
    """A browser in which a superuser is logged in."""
    found = Browser()
    found.force_login(get_user_model().objects.create_superuser("admin", password="x"))
    return found


def test_the_admin_shows_how_a_run_goes_on_and_who_carries_what(browser: Browser) -> None:
    make_counters()
    with at_work() as (process, run, closed):
        said("pause", run)
        said("retune", run, "--target-time", "750", "--workers", "3")
        page = browser.get(f"/admin/ops/run/{run.pk}/change/")
        text = page.content.decode()
        assert "pause, after the batch" in text
        assert "as many rows as take 750 ms" in text
        windows, _ = page.context["inline_admin_formsets"]
        assert [form.original.pid for form in windows if form.original] == [process.pid]
        (window,) = browser.get("/admin/ops/window/").context["cl"].result_list
        for url in (f"/admin/ops/window/{window.pk}/", f"/admin/ops/source/{Source.objects.get().pk}/"):
            assert browser.get(f"{url}change/").status_code == 200
            assert browser.post(f"{url}change/", {"number": 7, "name": "x"}).status_code == 403
            assert browser.get(f"{url}delete/").status_code == 403
        assert browser.get("/admin/ops/source/?q=shelf").context["cl"].result_count == 1
        assert browser.get("/admin/ops/window/add/").status_code == 403
        closed.open()
        ended(process)
    assert Run.objects.get().state == "paused"
