"""The sweeper carries on what was killed, by itself, once, and leaves alone what somebody wanted to stand still."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from billing.models import Mark
from ops.engine import registry, sweeping
from ops.engine import run as engine
from ops.engine.lifecycle import Options
from ops.models import Run, RunEvent
from tests.ops import crashing, shop
from tests.ops.counters import lose_owner, make_counters, slow, stopped, values
from tests.ops.crashing import alive, ask, children, manage, open_gate, prove_incremented, until, waiting
from tests.ops.shop import command, ended, environment, make_shop, other_connection, prices, raise_prices
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 2_000
BATCH = 100
INCREMENT = ("run_job", "shelf.increment", "--no-input", "--batch-size", str(BATCH))


@pytest.fixture(autouse=True)
def _processes(transactional_db: None) -> Iterator[None]:
    """Leave no process to the next test; what they said is shown where a test fails."""
    yield
    crashing.end_started()


@pytest.fixture
def counters() -> None:
    """Counters that hold their number modulo 7."""
    crashing.make_counters(ROWS)


@pytest.fixture
def gate(counters: None) -> Iterator[None]:
    """A gate that lets five batches through."""
    ask(crashing.GATE, upto=5 * BATCH)
    yield
    ask(crashing.CLEAR)


def _killed(*words: str) -> Run:
    """Start a run, kill it in the middle of a batch, and return it as it is left."""
    process = manage(*words)
    until("the run waits at the gate", waiting)
    process.kill()
    ended(process)
    return Run.objects.get()


def _kept() -> set[tuple[Any, ...]]:
    """Return the batches that are committed: window, number, keys."""
    return set(ask('SELECT c."window", c.batch, c.keys::text FROM ops_changeset AS c'))


@contextmanager
def _service(*words: str) -> "Iterator[subprocess.Popen[str]]":
    process = manage("sweep", "--every", "1", *words)
    try:
        yield process
    finally:
        process.terminate()
        ended(process)


def test_nothing_to_sweep_is_said_in_one_line() -> None:
    said = command("sweep")
    assert (said.code, said.out, said.err) == (0, "No run is stale.\n", "")
    said = command("sweep", "--json")
    assert (said.code, json.loads(said.out)) == (0, {"swept": [], "sent": []})


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_by_itself_and_loses_a_batch_per_worker_at_most(gate: None, workers: int) -> None:
    ask(crashing.SMALL_WINDOWS, rows=500)
    process = manage(*INCREMENT, "--workers", str(workers))
    until("all workers wait at the gate", lambda: waiting() == workers)
    kept = _kept()
    with _service() as service:
        hands = children(process.pid)
        process.kill()
        ended(process)
        until("the sweeper owns the run", lambda: Run.objects.filter(owner_pid=service.pid).exists())
        # What was committed before the kill is there, and nothing of what was not.
        assert _kept() == kept
        open_gate()
        until("the run is done", lambda: Run.objects.filter(state="done").exists())
        until("no hand outlives its parent", lambda: not any(map(alive, hands)))
    assert len(hands) == workers - 1
    run = Run.objects.get()
    prove_incremented(run, ROWS)
    assert kept < _kept()
    assert [event.what for event in run.events.filter(what="resumed")] == ["resumed"]


def test_the_service_and_the_run_outlive_a_crash_of_the_server() -> None:
    with crashing.ground(ROWS) as ground:
        ground.ask(crashing.GATE, upto=5 * BATCH)
        service = ground.manage("sweep", "--every", "1")
        starter = ground.manage(*INCREMENT, "--workers", "2")
        until("the run waits at the gate", lambda: ground.ask(crashing.WAITING)[0][0])
        ground.crash()
        assert starter.wait(crashing.PATIENCE) == 1
        said = ground.said[starter.pid].read_text()
        assert said.count("CommandError: Applying shelf.increment: ") == 1
        assert said.endswith("then start the same command again: a run that had begun goes on.\n"), said
        ground.ask(crashing.OPEN, upto=10**9)
        until("the run is done", lambda: ground.ask("SELECT 1 FROM ops_run WHERE state = 'done'"))
        # And what comes after is looked at as what came before.
        ground.crash()
        again = ground.ask("UPDATE ops_run SET state = 'running' RETURNING id")[0][0]
        until("it sweeps again", lambda: ground.ask("SELECT 1 FROM ops_run WHERE state = 'done'"))
        assert (again, service.poll()) == (1, None), ground.said[service.pid].read_text()
        assert ground.ask(crashing.UNEQUAL) == [(0,)]
        assert ground.ask(crashing.KEPT) == [(ROWS, ROWS, True)]
        assert "Traceback" not in ground.errors()


ASKING = """
import time, django; django.setup()
from ops.engine import registry, run
from ops.engine.lifecycle import Options
everything = {"client": [], "dirty": False, "plan": [], "service": []}
run.apply(registry.find("billing.reprice"), everything, Options(confirm=lambda plan: time.sleep(600)))
"""


def test_who_was_killed_at_the_question_had_not_said_yes_and_marks_are_given_back() -> None:
    make_shop()
    raise_prices()
    before = prices()
    process = subprocess.Popen([sys.executable, "-c", ASKING], env=environment(), cwd=shop.ROOT)
    until("it asks", lambda: Run.objects.filter(plan__isnull=False).exists())
    assert Mark.objects.filter(run_id__isnull=False).exists()
    assert command("sweep").out == "No run is stale.\n"
    process.kill()
    process.wait()
    said = command("sweep")
    run = Run.objects.get()
    assert (said.code, said.out) == (
        0,
        f"Run {run.pk} of billing.reprice: cancelled, nobody had said yes to its plan\n",
    )
    assert (run.state, run.changed, prices()) == ("cancelled", 0, before)
    assert Mark.objects.exists()
    assert not Mark.objects.filter(run_id__isnull=False).exists()
    # What was given back is the next run's: all of it.
    assert command("reprice", "--dirty", "--no-input").code == 0
    assert Run.objects.latest("pk").changed == len(before)
    assert not Mark.objects.exists()


@contextmanager
def _locked_table() -> Iterator[None]:
    """Lock the counters, so that not even a plan can read them."""
    with other_connection() as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE shelf_counter IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


WAITS_FOR_LOCK = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def _waits_for_writers() -> bool:
    return RunEvent.objects.filter(what="waiting").exists()


def _killed_while_planning(*words: str) -> Run:
    with _locked_table():
        process = manage(*words, "--lock-timeout", "60000")
        until("it plans, or waits to", lambda: ask(WAITS_FOR_LOCK)[0][0] or _waits_for_writers())
        assert command("sweep").out == "No run is stale.\n"
        process.kill()
        ended(process)
    return Run.objects.get()


def test_a_plan_whose_process_is_gone_has_failed_and_one_that_is_made_is_left_alone(counters: None) -> None:
    run = _killed_while_planning(*INCREMENT, "--dry-run")
    assert (run.verb, run.state) == ("plan", "running")
    said = command("sweep")
    assert (said.code, said.out, said.error) == (
        1,
        f"Run {run.pk} of shelf.increment: failed, a plan whose process is gone\n",
        f"Run {run.pk} of shelf.increment: a plan whose process is gone",
    )
    assert Run.objects.get().state == "failed"
    assert command("sweep").out == "No run is stale.\n"


def test_a_run_that_its_guards_would_refuse_is_refused(counters: None) -> None:
    run = _killed_while_planning(*INCREMENT, "--max-rows", "10")
    said = command("sweep")
    assert said.code == 3
    assert f"{ROWS:,} counters would change, more than --max-rows 10" in said.error
    assert said.out.startswith(f"Run {run.pk} of shelf.increment: refused, ")
    assert Run.objects.get().state == "refused"
    assert not Counter.objects.exclude(v__lt=7).exists()
    assert ask(crashing.KEPT) == [(0, 0, True)]


def test_a_run_begun_under_other_sql_is_refused_with_the_choice(gate: None) -> None:
    run = _killed(*INCREMENT)
    Run.objects.update(sql_digest="of another version")
    said = command("sweep", "--json")
    assert said.code == 3
    assert f"'manage.py runs resume {run.pk} --as-begun' goes on under the SQL that it began with" in said.error
    assert f"'manage.py runs cancel {run.pk}' gives it up" in said.error
    [swept] = json.loads(said.out)["swept"]
    assert (swept["run"], swept["job"], swept["outcome"]) == (run.pk, "shelf.increment", "refused")
    # Not tried again and again: it waits for the choice.
    assert Run.objects.get().state == "stopped"
    assert command("sweep").out == "No run is stale.\n"
    assert command("runs", "cancel", str(run.pk)).code == 0
    assert command("sweep").out == "No run is stale.\n"


def test_a_run_whose_job_is_gone_is_a_failure_that_names_it(gate: None) -> None:
    run = _killed(*INCREMENT)
    Run.objects.update(job="shelf.gone")
    said = command("sweep")
    assert said.code == 1
    assert said.error.startswith(f"Run {run.pk} of shelf.gone: There is no job 'shelf.gone'; there is: ")


@pytest.mark.parametrize(("verb", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_what_was_asked_of_a_run_whose_owner_died_is_honoured(gate: None, verb: str, state: str) -> None:
    process = manage(*INCREMENT)
    until("the run waits at the gate", waiting)
    run = Run.objects.get()
    assert "after its batch" in command("runs", verb, str(run.pk)).out
    process.kill()
    ended(process)
    open_gate()
    said = command("sweep")
    assert (said.code, said.out.startswith(f"Run {run.pk} of shelf.increment: {state}")) == (0, True), said
    run.refresh_from_db()
    assert (run.state, 0 < run.changed < ROWS) == (state, True)
    assert command("sweep").out == "No run is stale.\n"
    if verb == "pause":
        assert command("runs", "resume", str(run.pk), "--no-input").code == 0
        prove_incremented(run, ROWS)


def test_stopped_and_paused_runs_are_left_alone(counters: None) -> None:
    options = Options(batch_size=BATCH)
    options.stop.set()
    with pytest.raises(engine.Stopped):
        engine.apply(registry.find("shelf.increment"), {"by": 1}, options)
    for state in ("stopped", "paused"):
        assert Run.objects.get().state == state
        assert command("sweep").out == "No run is stale.\n"
        assert Run.objects.get().state == state
        command("runs", "pause", "--all")


def test_a_run_that_is_blocked_is_stopped_and_said_with_4(gate: None) -> None:
    run = _killed(*INCREMENT)
    open_gate()
    Run.objects.update(options={**run.options, "attempts": 1})
    with other_connection() as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("SELECT id FROM shelf_counter FOR UPDATE")
        said = command("sweep")
        other.rollback()
    assert (said.code, said.out.startswith(f"Run {run.pk} of shelf.increment: stopped, ")) == (4, True)
    assert "is locked against shelf.increment by process" in said.error
    assert Run.objects.get().state == "stopped"


def test_a_killed_revert_is_carried_on(gate: None) -> None:
    open_gate()
    assert command(*INCREMENT).code == 0
    done = Run.objects.get()
    ask(crashing.OPEN, upto=5 * BATCH)
    process = manage("runs", "revert", str(done.pk), "--no-input")
    until("the revert waits at the gate", waiting)
    process.kill()
    ended(process)
    open_gate()
    back = Run.objects.get(verb="revert")
    assert command("sweep").out == f"Run {back.pk} of shelf.increment: done\n"
    back.refresh_from_db()
    assert (back.state, back.changed, back.left_alone) == ("done", ROWS, 0)
    assert ask("SELECT count(*) FROM shelf_counter WHERE v <> mod(id, 7)") == [(0,)]


def test_an_owner_that_waits_for_writers_is_no_stale_one(counters: None) -> None:
    with other_connection() as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("UPDATE shelf_counter SET note = 'mine' WHERE id = (SELECT min(id) FROM shelf_counter)")
        process = manage(*INCREMENT)
        until("it says for whom it waits", _waits_for_writers)
        # As if the plan, or whoever was asked, had taken longer than the lease.
        ask("UPDATE ops_run SET heartbeat_at = heartbeat_at - interval '10 minutes'")
        until("it gives a sign of life", lambda: not sweeping.stale("default"))
        assert command("sweep").out == "No run is stale.\n"
        other.rollback()
    assert ended(process)[0] == 0
    prove_incremented(Run.objects.get(), ROWS)


def test_two_sweeps_at_once_carry_a_run_on_once(gate: None) -> None:
    run = _killed(*INCREMENT)
    open_gate()
    both = [manage("sweep"), manage("sweep")]
    ends = [ended(process) for process in both]
    assert {code for code, _, _ in ends} <= {0, 3}, ends
    assert sum(f"Run {run.pk} of shelf.increment: done" in out for _, out, _ in ends) == 1
    prove_incremented(run, ROWS)


def test_a_service_that_is_told_to_leave_does_so_and_the_next_one_goes_on(gate: None) -> None:
    run = _killed(*INCREMENT)
    with _service() as service:
        until("the sweeper is at work", lambda: Run.objects.filter(owner_pid=service.pid).exists())
        until("it waits at the gate", waiting)
        service.send_signal(signal.SIGTERM)
        time.sleep(0.2)  # the signal is heard by a thread of the service, of which nothing is seen from here
        ask(crashing.OPEN, upto=8 * BATCH)
        code, _, err = ended(service)
        assert (code, "Traceback" in err) == (0, False), err
    run.refresh_from_db()
    assert 5 * BATCH <= run.changed < ROWS
    open_gate()
    assert command("sweep").out == f"Run {run.pk} of shelf.increment: done\n"
    prove_incremented(run, ROWS)


def test_a_sweep_carries_a_run_of_a_shell_on_for_a_turn_and_then_looks_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.engine.sweeping.TURN", 0.3)
    make_counters(300)
    run = stopped()
    lose_owner(run)
    outcomes: list[str] = []
    with slow(0.4):
        while not outcomes or outcomes[-1] == "queued":
            outcomes.append(json.loads(command("sweep", "--json").out)["swept"][0]["outcome"])
    assert (outcomes[0], outcomes[-1], values()) == ("queued", "done", {1: 300})
