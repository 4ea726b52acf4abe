"""The counters of the test app, and ways to hold their batches up: a gate that a test opens, a pause in each batch."""

import time
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from ops.engine import registry
from ops.engine import run as engine
from ops.engine.lifecycle import Options, Stopped
from ops.models import Run
from tests.ops.shop import other_connection
from tests.shelf.models import Counter

GATE = 4711
INCREMENT = ("run_job", "shelf.increment", "--no-input", "--lock-timeout", "30000")


def make_counters(rows: int = 400) -> None:
    """Make so many counters at 0 whose keys are 1, 2, ..: slots, and so batches, are the same each time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shelf_counter (id, v, note, email) SELECT i, 0, '', '' FROM generate_series(1, %s) AS i",
            [rows],
        )


def values() -> dict[int, int]:
    """Return how many counters hold which value."""
    return dict(Tally(Counter.objects.values_list("v", flat=True)))


def opened() -> Run:
    """Return the newest run."""
    return Run.objects.latest("pk")


def sizes(run: Run) -> list[int]:
    """Return the rows of each batch of a run, in the order of their commits."""
    return list(run.changesets.order_by("id").values_list("rows", flat=True))


def acts(run: Run) -> list[str]:
    """Return what happened to a run."""
    return list(run.events.order_by("pk").values_list("what", flat=True))


def stopped(*, by: int = 1, after: int = 1, **more: Any) -> Run:
    """Return a run of shelf.increment that was asked to stop after so many rows, in batches of 100."""
    options = Options(
        batch_size=100,
        lock_timeout=30_000,
        progress=lambda done, total: options.stop.set() if done >= after else None,
        **more,
    )
    try:
        engine.apply(registry.find("shelf.increment"), {"by": by}, options)
    except Stopped:
        return opened()
    raise AssertionError("it was done before it could be stopped")


def lose_owner(run: Run) -> None:
    """Leave a run as a kill does: running, by an owner whose connection is gone."""
    Run.objects.filter(pk=run.pk).update(state="running", backend_pid=0, owner_pid=None, owner_host="gone")
    run.refresh_from_db()


@contextmanager
def _before_each_batch(body: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM {body}; RETURN NULL; END$$"
        )
        cursor.execute(
            "CREATE TRIGGER hold_up BEFORE UPDATE ON shelf_counter FOR EACH STATEMENT EXECUTE FUNCTION hold_up()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION hold_up CASCADE")


@contextmanager
def slow(seconds: float) -> Iterator[None]:
    """Make each batch take so long."""
    with _before_each_batch(f"pg_sleep({seconds})"):
        yield


class Gate:
    """Holds each batch up before it writes, until it is opened."""

    def __init__(self, other: Any) -> None:
        self.other = other

    def _execute(self, statement: str) -> Any:
        with self.other.cursor() as cursor:
            cursor.execute(statement, {"gate": GATE})
            return cursor.fetchone()

    def close(self) -> None:
        self._execute("SELECT pg_advisory_lock(%(gate)s)")

    def open(self) -> None:
        self._execute("SELECT pg_advisory_unlock(%(gate)s)")

    def let_one_through(self) -> None:
        """Let the batch that stands before the gate commit, and no other."""
        # What waits is granted its lock before this asks for its own, which it gets when the batch has committed.
        self._execute("SELECT pg_advisory_unlock(%(gate)s), pg_advisory_lock(%(gate)s)")

    def wait(self, batches: int = 1) -> None:
        """Wait until so many batches stand before the gate."""
        deadline = time.monotonic() + 30
        while self._execute("SELECT count(*) FROM pg_locks WHERE objid = %(gate)s AND NOT granted")[0] < batches:
            assert time.monotonic() < deadline, "no batch came to the gate"
            time.sleep(0.02)


@contextmanager
def gate() -> Iterator[Gate]:
    """Give a closed gate; it is opened at the end."""
    with other_connection() as other, _before_each_batch(f"pg_advisory_xact_lock_shared({GATE})"):
        made = Gate(other)
        made.close()
        try:
            yield made
        finally:
            made._execute("SELECT pg_advisory_unlock_all()")
