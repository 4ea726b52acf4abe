"""Do work in a process that kills itself at one of its commits: what a harness and its users' tests are made of."""

import os
import select
import signal
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from django.db import connections

PATIENCE = 120.0
"""Seconds after which a process that neither ends nor is killed counts as hung."""

_INHERITED: list[Any] = []


@dataclass(frozen=True)
class Kill:
    """Where a process kills itself: right before or right after so many commits.

    Outside a transaction each statement commits by itself and counts too, unless it begins with SELECT.
    """

    commit: int = 1
    edge: str = "before"

    def __str__(self) -> str:
        return f"right {self.edge} commit {self.commit}"

    def next(self) -> "Kill":
        """Return the next edge."""
        return Kill(self.commit, "after") if self.edge == "before" else Kill(self.commit + 1)


def killed(kill: Kill, database: str, work: Callable[[], None]) -> bool:
    """Do work in a process of its own; return whether it was killed, and not through before.

    The process has the memory of this one, but opens connections of its own. Raises AssertionError with the traceback
    where the work fails, or does nothing for PATIENCE seconds.
    """
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        # From Python 3.12 on: a lock that another thread holds now stays held in the child. It uses Django only.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _live(kill, database, work, writes)
    os.close(writes)
    said = b""
    try:
        while select.select([reads], [], [], PATIENCE)[0]:
            part = os.read(reads, 65_536)
            if not part:
                break
            said += part
        else:
            os.kill(pid, signal.SIGKILL)
            said = f"it did nothing for {PATIENCE:.0f} s".encode()
    finally:
        os.close(reads)
        _, status = os.waitpid(pid, 0)
    if said:
        raise AssertionError(f"A process to be killed {kill} failed: {said.decode(errors='replace')}")
    return os.WIFSIGNALED(status)


def _live(kill: Kill, database: str, work: Callable[[], None], writes: int) -> NoReturn:
    """Be the process that is to be killed; end without a word to what belongs to the test's own process."""
    try:
        for connection in connections.all(initialized_only=True):
            # The parent's connections: neither used nor closed here, for the server would take that as its word.
            _INHERITED.append(connection.connection)
            connection.connection = None
        _arm(connections[database], kill)
        work()
    except BaseException:
        os.write(writes, traceback.format_exc().encode())
    finally:
        os._exit(0)


def _arm(connection: Any, kill: Kill) -> None:
    """Let this process kill itself at a commit of a connection."""
    passed = 0

    def passes(act: Callable[[], Any]) -> Any:
        nonlocal passed
        passed += 1
        if (passed, "before") == (kill.commit, kill.edge):
            os.kill(os.getpid(), signal.SIGKILL)
        done = act()
        if (passed, "after") == (kill.commit, kill.edge):
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    commit = connection._commit  # noqa: SLF001 - Django has no public place right around a COMMIT
    connection._commit = lambda: passes(commit)  # noqa: SLF001 - the same

    def executes(execute: Callable[..., Any], statement: Any, params: Any, many: bool, context: Any) -> Any:
        text = statement if isinstance(statement, str) else statement.as_string(connection.connection)
        if connection.in_atomic_block or text.lstrip()[:6].upper() == "SELECT":
            return execute(statement, params, many, context)
        return passes(lambda: execute(statement, params, many, context))

    connection.execute_wrappers.append(executes)
