"""What tests of the cache share: a second connection to be on, a function that can be held up, callers in threads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ops import clock
from tests.shelf.models import Counter

LONG = 30


@contextmanager
def on(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let this thread use another connection."""
    before = connections["default"]
    connections["default"] = connection
    try:
        yield
    finally:
        connections["default"] = before


def run(statement: str, values: Any = None, using: BaseDatabaseWrapper | None = None) -> None:
    """Execute SQL as any other program would."""
    with (using or connections["default"]).cursor() as cursor:
        cursor.execute(statement, values)


class Sum:
    """A function of the counters: it counts its calls, and can be held up between beginning and reading."""

    def __init__(self, before: Callable[[], object] = lambda: None, after: Callable[[], object] = lambda: None) -> None:
        self.calls = 0
        self.before = before
        self.after = after
        self._lock = threading.Lock()

    def read(self) -> int:
        with self._lock:
            self.calls += 1
        self.before()
        found = sum(Counter.objects.values_list("v", flat=True))
        self.after()
        return found


class Gate:
    """A door that many come to, until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def pass_through(self) -> None:
        self.reached.set()
        assert self.open.wait(LONG)


def together(count: int, call: Callable[[], Any]) -> list[Any]:
    """Return what so many threads got that called at once, in no order; an exception counts as what it got."""
    found: list[Any] = []
    start = threading.Barrier(count)

    def work() -> None:
        try:
            start.wait(LONG)
            found.append(call())
        except Exception as exc:
            found.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    return found


class Background:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.result: Any = None
        self.thread = threading.Thread(target=self._work, args=(call,))
        self.thread.start()

    def _work(self, call: Callable[[], Any]) -> None:
        try:
            self.result = call()
        except Exception as exc:
            self.result = exc
        finally:
            connections.close_all()

    def join(self) -> Any:
        self.thread.join(LONG)
        assert not self.thread.is_alive()
        return self.result


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moment = datetime(2026, 3, 1, tzinfo=UTC)
        monkeypatch.setattr(clock, "now", lambda: self.moment)

    def pass_by(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def waiting_for_locks() -> int:
    """Return how many sessions wait for an advisory lock."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        (found,) = cursor.fetchone()
    return int(found)


def held_locks(connection: BaseDatabaseWrapper) -> int:
    """Return how many advisory locks a connection holds, those of versions excepted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"
        )
        (found,) = cursor.fetchone()
    return int(found)
