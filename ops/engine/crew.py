"""More hands for a run: processes of this host, each of which joins it."""

import os
import subprocess
import sys
from types import TracebackType

from django.conf import settings

from ops import clock
from ops.engine.lifecycle import Options, event
from ops.engine.session import Session
from ops.models import Run

GRACE = 30.0
"""Seconds in which a hand that was asked to leave ends its batch."""


class Crew:
    """The processes that help with a run: as many as it has workers, less this one. None outlives the context.

    They need nothing of their parent: what each did is in the database, and another takes over what it had claimed.
    """

    def __init__(self, session: Session, run: Run, options: Options) -> None:
        self.session = session
        self.run = run
        self.options = options
        self.hands: list[subprocess.Popen[bytes]] = []
        self.leaving: list[subprocess.Popen[bytes]] = []
        self.died = 0
        # Those of the task before go on by messages of their own.
        self.hired = max(run.workers - 1, 0) if run.batches else 0

    def __enter__(self) -> "Crew":
        return self

    def tend(self, workers: int) -> None:
        """Bring the number of hands to what the run wants now."""
        if self.options.hire is not None:
            # Those are workers elsewhere: they come when they are free, and leave by themselves.
            if workers - 1 > self.hired:
                self.options.hire(self.run, workers - 1 - self.hired)
            self.hired = max(self.hired, workers - 1)
            return
        for hand in [hand for hand in self.hands if hand.poll() is not None]:
            self.hands.remove(hand)
            if hand.returncode:
                self.died += 1
                event(self.session, self.run, "hand left", f"process {hand.pid} ended with exit code {hand.returncode}")
            else:
                self.died = max(self.died, workers)  # it found nothing left to claim; so would another
        self._let_go(max(workers - 1, 0))
        # One that dies is replaced, but not for ever.
        while len(self.hands) < workers - 1 and self.died < workers:
            self.hands.append(self._start())

    def _let_go(self, kept: int) -> None:
        """Ask all but so many hands to leave after their batch: once, for a second time means at once."""
        for hand in self.hands[kept:]:
            hand.terminate()
        self.leaving = [hand for hand in self.leaving if hand.poll() is None] + self.hands[kept:]
        del self.hands[kept:]

    def _start(self) -> "subprocess.Popen[bytes]":
        words = ["runs", "join", str(self.run.pk), "--database", self.session.alias, "--child-of", str(os.getpid())]
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        # A session of its own: Ctrl-C at the terminal is this process's to hand on.
        return subprocess.Popen(
            [sys.executable, "-m", "django", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._let_go(0)
        until = clock.monotonic() + GRACE
        while any(hand.poll() is None for hand in self.leaving):
            if self.options.leave.is_set() or clock.monotonic() > until:
                for hand in self.leaving:
                    hand.kill()
                    hand.wait()
                return
            clock.pause(0.02)
