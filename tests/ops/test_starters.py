"""Many who start the same job: one run, and the others are told who holds it; late and frozen owners change nothing."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.db import connection

from ops.engine import registry
from ops.engine import run as engine
from ops.engine.lifecycle import Options
from ops.engine.plan import Refused
from ops.engine.session import Session
from ops.models import Run, RunEvent
from tests.ops import crashing, shop
from tests.ops.crashing import alive, ask, children, manage, open_gate, prove_incremented, until, waiting
from tests.ops.shop import command, ended

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 2_000
BATCH = 100
INCREMENT = ("run_job", "shelf.increment", "--no-input", "--batch-size", str(BATCH))
BACKEND = "SELECT backend_pid FROM ops_run WHERE state = 'running'"


@pytest.fixture(autouse=True)
def _gate(transactional_db: None) -> Iterator[None]:
    """Counters that hold their number modulo 7, and a gate that lets five batches through."""
    crashing.make_counters(ROWS)
    ask(crashing.GATE, upto=5 * BATCH)
    yield
    crashing.end_started()
    ask(crashing.CLEAR)


def _may_change_its_hostname() -> bool:
    words = ["unshare", "--uts", "hostname", "other"]
    return bool(shutil.which("unshare")) and subprocess.run(words, capture_output=True, check=False).returncode == 0


def _elsewhere(*words: str) -> "subprocess.Popen[str]":
    """Start `manage.py` under another hostname."""
    script = 'hostname other && exec "$0" "$@"'
    process = subprocess.Popen(
        ["unshare", "--uts", "sh", "-c", script, sys.executable, str(shop.ROOT / "manage.py"), *words],
        env=shop.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    crashing.started.append(process)
    return process


@pytest.mark.skipif(not _may_change_its_hostname(), reason="another hostname takes root, and unshare(1)")
@pytest.mark.parametrize("first", ["shell", "elsewhere"])
def test_shell_python_and_another_host_start_the_same_job_and_there_is_one_run(first: str) -> None:
    starters = {"shell": manage, "elsewhere": _elsewhere}
    both = {name: start(*INCREMENT) for name, start in sorted(starters.items(), key=lambda item: item[0] != first)}
    until("one of them waits at the gate", waiting)
    run = Run.objects.get()
    held = f"Run {run.pk} of shelf.increment is being carried out by {run.started_by} (process {run.owner_pid} on "
    held += f"{run.owner_host}, since "
    with pytest.raises(Refused) as refused:
        engine.apply(registry.find("shelf.increment"), {"by": 1}, Options())
    assert str(refused.value).startswith(held)
    [owner] = [name for name, process in both.items() if process.pid == run.owner_pid]
    assert run.owner_host == ("other" if owner == "elsewhere" else os.uname().nodename)
    assert run.started_by.endswith(f"@{run.owner_host}")
    [other] = [process for name, process in both.items() if name != owner]
    code, out, err = ended(other)
    assert (code, out) == (3, "")
    assert err.startswith(f"CommandError: {held}")
    assert f"wait for its end, or stop it with 'manage.py runs pause {run.pk}'." in err
    open_gate()
    code, _, err = ended(both[owner])
    assert (code, err) == (0, "")
    prove_incremented(Run.objects.get(), ROWS)
    assert RunEvent.objects.filter(what="resumed").count() == 0


def _frozen() -> "subprocess.Popen[str]":
    """Freeze a run's owner in the middle of a batch, its connection open."""
    process = manage(*INCREMENT)
    until("it waits at the gate", waiting)
    process.send_signal(signal.SIGSTOP)
    open_gate()
    # Its statement ends; to go on with its transaction it would have to run.
    until("its session waits for it", lambda: _state_of_owner() == "idle in transaction")
    return process


def _state_of_owner() -> str:
    rows = ask("SELECT a.state FROM pg_stat_activity AS a INNER JOIN ops_run AS r ON r.backend_pid = a.pid")
    return rows[0][0] if rows else ""


def test_a_frozen_owner_is_left_its_run_while_its_lease_lasts() -> None:
    process = _frozen()
    assert command("sweep").out == "No run is stale.\n"
    said = command(*INCREMENT)
    assert said.code == 3
    assert f"is being carried out by {Run.objects.get().started_by} (process {process.pid} on " in said.error
    process.send_signal(signal.SIGCONT)
    assert ended(process)[0] == 0
    prove_incremented(Run.objects.get(), ROWS)


def test_a_frozen_owner_loses_its_run_with_its_lease_and_its_late_batch_is_rolled_back() -> None:
    process = _frozen()
    ask("UPDATE ops_run SET heartbeat_at = heartbeat_at - interval '10 minutes'")
    heir = manage(*INCREMENT, "--lock-timeout", "60000")
    until("another has taken it", lambda: Run.objects.filter(owner_pid=heir.pid).exists())
    until("it waits for the rows of the late batch", lambda: _state_of_owner() == "active")
    committed = ask(crashing.KEPT)
    assert committed[0][0] <= 5 * BATCH
    process.send_signal(signal.SIGCONT)
    code, _, err = ended(process)
    said = f"Run {Run.objects.get().pk} was taken over or stopped by someone else; this owner's batch was rolled back."
    assert (code, err) == (4, f"CommandError: {said}\n")
    assert ended(heir)[0] == 0
    prove_incremented(Run.objects.get(), ROWS)


def test_a_frozen_owners_rows_are_locked_no_longer_than_its_lease() -> None:
    ask(f"ALTER DATABASE {connection.settings_dict['NAME']} SET idle_in_transaction_session_timeout = '1s'")
    try:
        process = _frozen()
        # As after 60 s where the server has no such limit of its own.
        until("the server ends its session", lambda: _state_of_owner() == "")
        assert command("sweep").out == f"Run {Run.objects.get().pk} of shelf.increment: done\n"
        prove_incremented(Run.objects.get(), ROWS)
        process.send_signal(signal.SIGCONT)
        code, _, err = ended(process)
        assert (code, err.count("CommandError: "), "Traceback" in err) == (1, 1, False), err
        prove_incremented(Run.objects.get(), ROWS)
    finally:
        ask(f"ALTER DATABASE {connection.settings_dict['NAME']} RESET idle_in_transaction_session_timeout")


def test_a_transaction_of_the_engine_ends_with_its_lease() -> None:
    session = Session("default")
    with session.transaction(lock_timeout=1, statement_timeout=0):
        assert ask("SHOW idle_in_transaction_session_timeout") == [("1min",)]
    assert ask("SHOW idle_in_transaction_session_timeout") == [("0",)]


def test_a_killed_clients_statement_ends_though_the_server_would_not_look() -> None:
    name = connection.settings_dict["NAME"]
    ask(f"ALTER DATABASE {name} SET client_connection_check_interval = 0")
    try:
        process = manage(*INCREMENT)
        until("it waits at the gate", waiting)
        process.kill()
        ended(process)
        # In the gate, which stays shut, it would wait for ever.
        until("its statement ends", lambda: not waiting())
        until("nothing is left locked", lambda: ask(crashing.LEFT_LOCKED) == [])
        assert ask(crashing.LEFT_LOCKED) == []
    finally:
        ask(f"ALTER DATABASE {name} RESET client_connection_check_interval")


def test_a_hand_leaves_when_its_owner_was_killed() -> None:
    ask(crashing.SMALL_WINDOWS, rows=500)
    process = manage(*INCREMENT, "--workers", "3")
    until("all hands wait at the gate", lambda: waiting() == 3)
    hands = children(process.pid)
    assert len(hands) == 2
    process.kill()
    ended(process)
    open_gate()
    until("no hand outlives its parent", lambda: not any(map(alive, hands)))
    run = Run.objects.get()
    # Each left after the batch that it was in.
    assert (run.state, run.changed < ROWS) == ("running", True)
    assert command(*INCREMENT).code == 0
    prove_incremented(Run.objects.get(), ROWS)


@pytest.mark.parametrize("how", ["SELECT pg_terminate_backend(%(pid)s)", "SELECT pg_cancel_backend(%(pid)s)"])
def test_an_owner_that_loses_its_connection_says_so_in_one_sentence_and_leaves_the_run_to_others(how: str) -> None:
    process = manage(*INCREMENT)
    until("it waits at the gate", waiting)
    ask(how, pid=ask(BACKEND)[0][0])
    if "cancel" in how:
        # An administrator's cancel is a statement that took too long: the batch is tried again.
        open_gate()
        assert ended(process)[0] == 0
        prove_incremented(Run.objects.get(), ROWS)
        return
    code, _, err = ended(process)
    assert (code, err.count("CommandError: "), "Traceback" in err) == (1, 1, False), err
    assert (err.startswith("CommandError: Applying shelf.increment: "), err.endswith(" goes on.\n")) == (True, True), (
        err
    )
    # Nobody has stopped it: the sweeper's next pass carries it on.
    assert Run.objects.get().state == "running"
    open_gate()
    assert command("sweep").out == f"Run {Run.objects.get().pk} of shelf.increment: done\n"
    prove_incremented(Run.objects.get(), ROWS)
