"""The commands of the runbooks, run in their order on a small shop, with the exit codes and words that they state.

A block is ```console. A line `$ manage.py ..` is a command, `# exit N` behind it its exit code (0 where it is not
said). The lines below it must occur, in this order, in what it prints. `<!-- given: .. -->` names a step of GIVEN:
what happens meanwhile outside of the operator's shell.
"""

import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from billing.models import Service, Subscription
from ops.engine import changeset
from ops.engine import run as engine
from ops.engine.lifecycle import Stopped
from ops.models import Run
from tests.ops.shop import (
    EVERYTHING,
    command,
    ended,
    job,
    make_shop,
    manage,
    other_connection,
    raise_prices,
    small,
    wait_until,
)

DIRECTORY = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
RUNBOOKS = [DIRECTORY / name for name in ("reprice.md", "runs.md")]
OTHERS = {"backfill.md", "load.md"} | {f"{name}.md" for name in ("wrong-hour", "did-not-run", "move-schedule")}
OTHERS |= {f"{name}.md" for name in ("queue-grows", "worker-killed", "broker-down", "deploy", "stale-number")}
OTHERS |= {"slow-report.md", "month-end.md", "disputed-balance.md"}
OTHERS |= {f"{name}.md" for name in ("table-dropped", "already-exists", "inconsistent-history", "invalid-index")}
OTHERS |= {"not-null-column.md", "migrated-twice.md", "after-a-restore.md"}
"""What has a test of its own."""
PIECE = re.compile(r"^<!-- given: ([^\n]+) -->$|^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ manage\.py (.+?)(?:\s+# exit (\d))?$")


class World:
    """What goes on outside of the operator's shell."""

    def __init__(self) -> None:
        self.open = ExitStack()
        self.other: subprocess.Popen[str] | None = None

    def rise(self) -> None:
        raise_prices()

    def no_price(self) -> None:
        Service.objects.filter(name="service 3").update(full_price=None)

    def price_again(self) -> None:
        Service.objects.filter(name="service 3").update(full_price=111)

    def lock(self) -> None:
        other = self.open.enter_context(other_connection())
        other.autocommit = False
        with other.cursor() as cursor:
            row = Subscription.objects.order_by("pk")[200].pk
            cursor.execute("SELECT id FROM billing_subscription WHERE id = %s FOR UPDATE", [row])

    def unlock(self) -> None:
        self.open.close()

    def start_another(self) -> None:
        self.lock()
        self.other = manage("reprice", "--no-input", "--lock-timeout", "30000")
        wait_until("the other run writes", state="running", plan__isnull=False)

    def start_a_long_one(self) -> None:
        other = self.open.enter_context(other_connection())
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("SELECT id FROM billing_subscription FOR UPDATE")
        self.other = manage("reprice", "--no-input", "--lock-timeout", "30000", "--batch-size", "50")
        wait_until("the long run writes", state="running", windows__isnull=False)

    def let_the_long_one_pause(self) -> None:
        self.unlock()
        assert self.other is not None
        assert ended(self.other)[0] == 4

    def kill_a_revert(self) -> None:
        run = Run.objects.get(pk=3)
        options = small(progress=lambda done, total: options.stop.set())
        with pytest.raises(Stopped):
            changeset.revert(run, options)
        Run.objects.filter(state="stopped").update(state="running", backend_pid=0, owner_pid=0)

    def let_the_other_end(self) -> None:
        self.unlock()
        assert self.other is not None
        assert ended(self.other)[0] == 0

    def stop_one(self) -> None:
        raise_prices()
        stop = threading.Event()
        options = small(stop=stop, progress=lambda done, total: stop.set() if done > 50 else None)
        with pytest.raises(Stopped):
            engine.apply(job(), EVERYTHING, options)

    def kill_one(self) -> None:
        self.stop_one()
        # As a kill leaves it: running, by an owner whose connection is gone.
        Run.objects.filter(state="stopped").update(state="running", backend_pid=0, owner_pid=0)


GIVEN: dict[str, Callable[[World], None]] = {
    "list prices rose by 7 % just now": World.rise,
    "a service without a price": World.no_price,
    "the service has a price again": World.price_again,
    "a run in another terminal": World.start_another,
    "the other run has ended": World.let_the_other_end,
    "a long run in another terminal": World.start_a_long_one,
    "the long run has ended its batch": World.let_the_long_one_pause,
    "a revert of run 3 that was killed": World.kill_a_revert,
    "a transaction that holds a row": World.lock,
    "the transaction has ended": World.unlock,
    "a run that was killed": World.kill_one,
    "a run that was stopped": World.stop_one,
}


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield what is given, and each command with the lines that it is said to print."""
    for piece in PIECE.finditer(text):
        if piece[1]:
            yield f"given: {piece[1]}", []
            continue
        lines = piece[2].splitlines()
        assert lines[0].startswith("$ "), lines[0]
        starts = [i for i, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            yield lines[start], lines[start + 1 : end]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.open.close()
    if made.other is not None and made.other.poll() is None:
        made.other.kill()
        made.other.communicate()


def test_there_are_runbooks_and_no_command_is_overlooked() -> None:
    assert {path.name for path in DIRECTORY.glob("*.md")} == {path.name for path in RUNBOOKS} | OTHERS
    for path in RUNBOOKS:
        text = path.read_text(encoding="utf-8")
        found = [line for line, _ in steps(text) if line.startswith("$ ")]
        assert found == re.findall(r"^\$ .*$", text, re.MULTILINE)
        assert [line for line in found if not COMMAND.match(line)] == []
        assert {line.removeprefix("given: ") for line, _ in steps(text) if line.startswith("given: ")} <= GIVEN.keys()


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.name)
@pytest.mark.django_db(transaction=True)
def test_a_runbook_does_what_it_says(path: Path, world: World) -> None:
    # Empty tables whose keys begin at 1: the runbook says which run it means.
    call_command("flush", interactive=False, verbosity=0)
    make_shop()
    ran = 0
    for line, said in steps(path.read_text(encoding="utf-8")):
        if line.startswith("given: "):
            GIVEN[line.removeprefix("given: ")](world)
            continue
        match: Any = COMMAND.match(line)
        done = command(*shlex.split(match[1]))
        printed = f"{done.err}{done.out}{done.error}"
        assert done.code == int(match[2] or 0), f"{line}\n{printed}"
        at = 0
        for words in said:
            found = printed.find(words, at)
            assert found >= 0, f"{line}\nsaid to print {words!r}, printed:\n{printed}"
            at = found + len(words)
        ran += 1
    assert ran > 10
