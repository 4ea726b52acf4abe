"""One computes, the others wait: a lock on each value that is computed, held as long as its computation lasts.

It is an advisory lock of a transaction, so that it is released whatever becomes of its holder, and works behind a
pooler. Outside of transactions one is opened for the computation. Within a transaction of the caller's it is a
savepoint, which is rolled back afterwards: that releases the lock, which the caller would otherwise hold until its
commit (PostgreSQL's manual, 13.3.5). Rolling back loses nothing: a cached function only reads. One that has written
after all keeps what it wrote, and the lock with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import Error, connections, transaction

from ops import clock
from ops.engine.session import DEADLOCK, LOCK_NOT_AVAILABLE, STATEMENT_TIMEOUT, Session, sqlstate

READ_COMMITTED = ("read committed", "read uncommitted")


class Busy(Exception):
    """Another one computes, and did not end within the time that was to be waited."""


@dataclass
class Flight:
    """A computation that is this caller's alone."""

    waited: bool
    """Whether another one was waited for, which may have left its result."""
    sees_commits: bool
    """Whether the statements of this transaction see what is committed meanwhile."""
    wrote: bool = False
    """To be set where the computation has written."""


@contextmanager
def flight(lock: int, database: str, wait: float) -> Iterator[Flight]:
    """Hold the lock of a computation while it lasts; raise Busy where it is not had within `wait` seconds.

    An error within releases it at once. Where the connection is neither in autocommit nor in `atomic()`, nobody would
    end the transaction, so there is no lock: each computes for itself.
    """
    session = Session(database)
    connection = connections[database]
    if not connection.in_atomic_block and not connection.get_autocommit():
        yield Flight(waited=False, sees_commits=False)
        return
    nested = connection.in_atomic_block
    with transaction.atomic(using=database):
        taken = _take(session, lock, wait)
        yield taken
        if nested and not taken.wrote:
            transaction.set_rollback(True, using=database)


def _take(session: Session, lock: int, wait: float) -> Flight:
    ((held, before, isolation, _, limit),) = session.execute("ops/lock_computation.sql", {"lock": lock})
    if not held and wait <= 0:
        raise Busy
    if not held:
        begin = clock.monotonic()
        try:
            session.execute("ops/lock_awaited.sql", {"lock": lock, "lock_timeout": f"{max(1, int(wait * 1000))}ms"})
        except Error as exc:
            # Canceled by its own limit it has waited as long as it may; by somebody (pg_cancel_backend), it is to end.
            timed_out = clock.monotonic() - begin >= min(wait, limit or wait) * 0.99
            if sqlstate(exc) in (LOCK_NOT_AVAILABLE, DEADLOCK) or (sqlstate(exc) == STATEMENT_TIMEOUT and timed_out):
                raise Busy from exc
            raise
        session.execute("ops/set_lock_timeout.sql", {"lock_timeout": before})
    return Flight(waited=not held, sees_commits=isolation in READ_COMMITTED)
