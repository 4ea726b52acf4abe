"""What a value follows from beside its arguments: constants of its code, its database; and who ends a wait for it."""

import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection

from ops.cache import cached, keying
from ops.cache.flight import Busy, flight
from ops.cache.reporting import CachedReport
from ops.cache.store import store
from ops.reports import Count, Report
from tests.ops.cache.kit import Background, Sum, waiting_for_locks
from tests.ops.stack import until
from tests.shelf.models import Counter

RATE: Any = Decimal("1.5")


def rated(amount: int) -> Any:
    return [amount * RATE for _ in range(1)]


def made(rate: object) -> Any:
    return lambda amount: (amount, rate)


def digest(function: Any) -> str:
    return keying.code_digest(function, "", ())


def test_constants_of_the_module_and_of_closures_are_part_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(rated)
    monkeypatch.setitem(globals(), "RATE", Decimal("1.6"))
    assert digest(rated) != before
    monkeypatch.setitem(globals(), "RATE", Decimal("1.5"))
    assert digest(rated) == before
    found = [digest(made(one)) for one in (1, "1", (1, 2), (1, "2"), None)]
    assert len(set(found)) == len(found)
    assert digest(made(1)) == found[0]
    # What can be altered at any time tells nothing.
    assert digest(made([1])) == digest(made([2]))


@pytest.mark.usefixtures("fresh")
def test_a_stale_value_of_another_database_does_not_answer() -> None:
    rows = Sum()
    function = cached("tests.foreign", tables=[Counter], ttl=60, allow_stale=60)(rows.read)
    assert function() == 0
    question = function.question((), {})
    entry = store.get("tests.foreign", question.address)
    assert entry is not None
    server, _, tables = entry.identity.partition("|")
    found = function.read(question)
    assert entry.is_of(found)
    for identity, stale in ((f"{server}|{tables}x", True), (f"{server}9|{tables}", False)):
        store.put(replace(entry, identity=identity, versions="other", value=17), timedelta(seconds=60))
        Counter.objects.create(v=0)
        with flight(question.lock, "default", 0):
            other = Background(function.answer)
            if stale:
                answer = other.join()
            else:
                until("it waits", lambda: waiting_for_locks() == 1)
        answer = other.join()
        assert (answer.value, answer.stale) == ((17, True) if stale else (0, False))


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("by", ["somebody", "its own limit"])
def test_a_wait_that_somebody_cancels_ends_and_one_that_is_over_is_busy(by: str) -> None:
    pids: list[int] = []
    there = threading.Event()

    def wait() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pids.append(cursor.fetchone()[0])
            cursor.execute("SET statement_timeout = %s", ["300ms" if by == "its own limit" else "0"])
        there.set()
        with flight(4711, "default", 20):
            raise AssertionError("it is held by another one")

    with flight(4711, "default", 0):
        waiter = Background(wait)
        assert there.wait(20)
        if by == "somebody":
            until("it waits", lambda: waiting_for_locks() == 1)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_cancel_backend(%s)", pids)
        result = waiter.join()
    assert isinstance(result, OperationalError if by == "somebody" else Busy)


class Counters(Report):
    """Counters by their time."""

    name = "counters"
    source = Counter
    time = "at"
    windows = ("today",)
    measures = {"count": Count()}


def test_a_report_is_computed_anew_when_what_compiles_reports_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    report = cached("tests.counters", tables=[Counter], ttl=60)(Counters)
    assert isinstance(report, CachedReport)
    before = report.code
    monkeypatch.setattr(keying, "sources_digest", lambda package: f"other sources of {package}")
    assert report.code != before
