"""The commands at a real (pseudo-)terminal of 80 columns: plan, question, answer, progress bar, outcome."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from billing.models import Subscription
from ops.models import Run
from tests.ops.shop import ROOT, command, environment, make_shop, other_connection, prices, raise_prices, untouched


def _terminals() -> bool:
    try:
        opened = pty.openpty()
    except OSError:
        return False
    for descriptor in opened:
        os.close(descriptor)
    return True


pytestmark = [
    pytest.mark.django_db(transaction=True),
    # A bare chroot has no /dev/pts; everything else can be tested there.
    pytest.mark.skipif(not _terminals(), reason="this machine hands out no pseudo-terminals: mount /dev/pts"),
]

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A process on a terminal of its own, and what it has shown so far."""

    def __init__(self, *words: str) -> None:
        self.fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *words],
            env=environment(TERM="xterm", COLUMNS="", LINES=""),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self.seen = ""

    def read(self, seconds: float) -> bool:
        """Take in what comes; say whether the terminal is still open."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if ready:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                # EIO: the other side is closed.
                return False
            self.seen += data.decode()
            return bool(data)
        return True

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in ESCAPES.sub("", self.seen):
            assert time.monotonic() < deadline, self.seen
            assert self.read(0.1), self.seen

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def end(self) -> tuple[int, str]:
        """Let it run to its end; return its exit code and what it showed, without colours."""
        deadline = time.monotonic() + 60
        while self.read(0.1):
            assert time.monotonic() < deadline, self.seen
        return self.process.wait(10), ESCAPES.sub("", self.seen).replace("\r\n", "\n")


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    opened = Terminal(*words)
    try:
        yield opened
    finally:
        opened.process.kill()
        opened.process.wait()
        os.close(opened.fd)


QUESTION = "Write 400 rows? [y/N] "


@pytest.fixture
def raised() -> dict[int, str]:
    """A shop whose list prices were raised; returns the prices before."""
    make_shop()
    raise_prices()
    return prices()


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_it_shows_the_plan_asks_and_writes_at_a_yes(raised: dict[int, str], answer: str) -> None:
    with terminal("reprice", "--verify") as at:
        at.wait_for(QUESTION)
        assert Run.objects.get().state == "running"
        assert prices() == raised
        at.type(answer)
        code, seen = at.end()
    assert code == 0
    run = Run.objects.get()
    assert (run.state, run.changed) == ("done", 400)
    assert "Looked at 400 subscriptions: 400 would change, 0 held, 0 refused." in seen
    assert re.search(r"^KRW +94,237 +100,858 +\+6,621 +\+7.03$", seen, re.MULTILINE)
    assert seen.index("Looked at") < seen.index(QUESTION)
    assert re.search(r"rows ━+ *400/400 left", seen)
    assert seen.endswith(f"Run {run.pk}: 400 rows written in 1 batch. Planned again: 0 rows differ.\n")
    assert max(len(line) for line in seen.replace("\r", "\n").splitlines()) <= 80


@pytest.mark.parametrize("answer", ["n\n", "\n", "maybe\n", "\x04"])
def test_anything_but_a_yes_changes_nothing(raised: dict[int, str], answer: str) -> None:
    with terminal("reprice") as at:
        at.wait_for(QUESTION)
        at.type(answer)
        code, seen = at.end()
    run = Run.objects.get()
    assert (code, run.state) == (3, "cancelled")
    assert seen.endswith(f"CommandError: Declined: run {run.pk} changed nothing.\n")
    untouched(raised)


def test_ctrl_c_at_the_question_is_a_no(raised: dict[int, str]) -> None:
    with terminal("reprice") as at:
        at.wait_for(QUESTION)
        at.process.send_signal(signal.SIGINT)
        code, seen = at.end()
    assert (code, Run.objects.get().state) == (3, "cancelled")
    assert seen.endswith(f"Declined: run {Run.objects.get().pk} changed nothing.\n")
    assert "Traceback" not in seen
    untouched(raised)


def test_with_nothing_to_write_it_asks_nothing() -> None:
    make_shop()
    with terminal("reprice") as at:
        code, seen = at.end()
    assert (code, "[y/N]" in seen) == (0, False)
    assert seen.endswith("done, nothing differs.\n")


def test_no_input_asks_nothing_and_dry_run_neither(raised: dict[int, str]) -> None:
    with terminal("reprice", "--dry-run") as at:
        code, seen = at.end()
    assert (code, "[y/N]" in seen) == (0, False)
    untouched(raised)
    with terminal("reprice", "--no-input") as at:
        code, seen = at.end()
    assert (code, "[y/N]" in seen) == (0, False)
    assert Run.objects.latest("pk").changed == 400


@pytest.mark.parametrize(("words", "bold"), [((), True), (("--no-color",), False)])
def test_letters_are_plain_where_no_color_is_asked_for(
    raised: dict[int, str], words: tuple[str, ...], bold: bool
) -> None:
    with terminal("reprice", "--dry-run", *words) as at:
        code, seen = at.end()
        assert (code, bool(re.search(r"\x1b\[[0-9;]*m", at.seen))) == (0, bold)
    assert "400 would change" in seen


def test_a_run_whose_terminal_was_closed_at_the_question_asks_again(raised: dict[int, str]) -> None:
    with terminal("reprice") as at:
        at.wait_for(QUESTION)
        at.process.kill()
        at.process.wait()
    run = Run.objects.get()
    with terminal("runs", "resume", str(run.pk)) as at:
        at.wait_for(QUESTION)
        assert f"Carrying on run {run.pk}, opened " in at.seen
        at.process.kill()
        at.process.wait()
    assert prices() == raised
    with terminal("reprice") as at:
        at.wait_for(QUESTION)
        assert prices() == raised
        at.type("y\n")
        code, _ = at.end()
    assert (code, list(Run.objects.values_list("pk", "state", "changed"))) == (0, [(run.pk, "done", 400)])


def test_a_revert_shows_its_plan_and_asks(raised: dict[int, str]) -> None:
    command("reprice", "--no-input")
    run = Run.objects.get()
    after = prices()
    with terminal("runs", "revert", str(run.pk)) as at:
        at.wait_for("Set 400 rows back? [y/N] ")
        at.type("n\n")
        code, seen = at.end()
    assert code == 3
    assert seen.endswith(f"CommandError: Declined: run {run.pk} stays as it is.\n")
    assert (prices(), Run.objects.count()) == (after, 1)
    with terminal("runs", "revert", str(run.pk)) as at:
        at.wait_for("Set 400 rows back? [y/N] ")
        at.type("y\n")
        code, seen = at.end()
    back = Run.objects.latest("pk")
    assert code == 0
    assert f"Run {back.pk}: 400 rows set back, 0 left alone.\n" in seen
    assert prices() == raised


def test_what_blocks_a_run_is_shown_under_the_plan(raised: dict[int, str]) -> None:
    row = Subscription.objects.order_by("pk")[200].pk
    with other_connection() as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("SELECT id FROM billing_subscription WHERE id = %s FOR UPDATE", [row])
            with terminal("reprice", "--lock-timeout", "50") as at:
                at.wait_for(QUESTION)
                at.type("y\n")
                at.wait_for(f"Row {row} is locked against billing.reprice by process {other.info.backend_pid} ")
                other.rollback()
                code, _ = at.end()
    assert (code, Run.objects.get().changed) == (0, 400)
