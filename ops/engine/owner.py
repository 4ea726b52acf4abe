"""Who owns a run: this process on this host, while its connection lives."""

import getpass
import os
import socket
from functools import cache
from importlib import metadata

import psycopg2
from django.db import DatabaseError

from ops import clock
from ops.engine.session import Session
from ops.models import Run

LEASE = 60.0
"""Seconds of silence after which an owner or a hand counts as gone though its connection seems to stand.

That is how a lost host is noticed; a killed process is seen at once, by its closed connection.
"""

PROMPT_LEASE = 900.0
"""The same for an owner that has not been told yes at its prompt: people think, and nothing waits for it."""


class Taken(Exception):
    """Another process became the run's owner in the same moment."""


def who() -> str:
    """Return user and host of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@cache
def code_version() -> str:
    """Return the version of the installed package, or of the source tree."""
    try:
        return metadata.version("setwise")
    except metadata.PackageNotFoundError:
        return "source"


def constraint(exc: DatabaseError) -> str:
    """Return the name of the constraint that a database error is about, or ''."""
    cause = exc.__cause__
    return (cause.diag.constraint_name or "") if isinstance(cause, psycopg2.Error) else ""


def take(session: Session, run: Run) -> int:
    """Make this session the run's owner and return its new fence; raise Taken where another was faster."""
    rows = session.execute(
        "ops/lock_owner.sql", {"run": run.pk, "fence": run.fence, "host": socket.gethostname(), "pid": os.getpid()}
    )
    if not rows:
        raise Taken(f"Run {run.pk} was taken by another process just now: start the same command again.")
    session.hold()
    return int(rows[0][0])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def live_holder(session: Session, run: Run) -> str:
    """Return who holds a run now, or '' where its owner is gone: process dead, connection closed, silent too long."""
    if run.state != Run.State.RUNNING:
        return ""
    rows = session.execute("ops/find_owner.sql", {"run": run.pk})
    connected, busy, silent = rows[0] if rows else (False, False, None)
    lease = LEASE if run.consent else PROMPT_LEASE
    if not connected or silent is None or (silent > lease and not busy):
        return ""
    if run.owner_host == socket.gethostname() and run.owner_pid and not _alive(run.owner_pid):
        return ""
    return f"{run.started_by} (process {run.owner_pid} on {run.owner_host}, since {clock.shown(run.created_at)})"
