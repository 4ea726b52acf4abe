"""Many ask for one value at once: one computes, the others wait or are content with the one before."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ops import clock
from ops.cache import cached
from tests.ops.cache.kit import Background, Gate, Sum, held_locks, on, run, together, waiting_for_locks
from tests.ops.stack import until
from tests.shelf.models import Counter

pytestmark = pytest.mark.usefixtures("fresh")
ADD = "INSERT INTO shelf_counter (v, note, email) VALUES (%s, '', '')"


def test_a_stampede_of_50_computes_once() -> None:
    Counter.objects.create(v=7)
    rows = Sum(before=lambda: clock.pause(0.2))
    function = cached("tests.stampede", tables=[Counter], ttl=60)(rows.read)
    answers = together(50, function.answer)
    assert [answer.value for answer in answers] == [7] * 50
    assert rows.calls == 1
    assert sorted(answer.hit for answer in answers) == [False] + [True] * 49
    assert not any(answer.stale for answer in answers)
    assert function.counters() == {"hits": 49, "misses": 1, "stale": 0, "passed": 0}


def test_a_stampede_within_transactions_computes_once_and_holds_no_lock_afterwards() -> None:
    rows = Sum(before=lambda: clock.pause(0.1))
    function = cached("tests.transactions", tables=[Counter], ttl=60)(rows.read)

    def call() -> tuple[int, int]:
        with transaction.atomic():
            return function(), held_locks(connection)

    assert together(10, call) == [(0, 0)] * 10
    assert rows.calls == 1


def test_those_who_came_after_a_write_compute_once_more(other: BaseDatabaseWrapper) -> None:
    """Who asked after the commit must not get what was begun before it; what was begun after it is for all of them."""
    gate = Gate()
    rows = Sum(after=gate.pass_through)
    function = cached("tests.later", tables=[Counter], ttl=60)(rows.read)
    first = Background(function)
    assert gate.reached.wait(30)
    run(ADD, [5], other)
    later = [Background(function) for _ in range(5)]
    until("all of them wait", lambda: waiting_for_locks() == 5)
    run(ADD, [50], other)
    latest = [Background(function) for _ in range(5)]
    until("all of them wait", lambda: waiting_for_locks() == 10)
    gate.open.set()
    assert first.join() == 0
    # Their versions differ, and one computation is as new as any of them asked for.
    assert [one.join() for one in [*later, *latest]] == [55] * 10
    assert rows.calls == 2


def test_a_snapshot_waits_for_nothing_newer(other: BaseDatabaseWrapper) -> None:
    gate = Gate()
    rows = Sum(before=gate.pass_through)
    function = cached("tests.waits", tables=[Counter], ttl=60)(rows.read)

    def in_a_snapshot() -> int:
        with transaction.atomic():
            run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            Counter.objects.count()
            run(ADD, [5], other)
            asked = Background(function)  # reads newer versions, and computes from them
            assert gate.reached.wait(30)
            opener = Background(lambda: (until("it waits", lambda: waiting_for_locks() == 1), gate.open.set()))
            found = function()
            opener.join()
            assert asked.join() == 5
            return found

    assert in_a_snapshot() == 0
    assert rows.calls == 2


def test_an_error_releases_it_and_the_next_one_computes() -> None:
    gate = Gate()
    results: list[Any] = [ZeroDivisionError("no"), 5]

    @cached("tests.raises", tables=[Counter], ttl=60)
    def function() -> int:
        result = results.pop(0)
        if isinstance(result, Exception):
            gate.pass_through()
            raise result
        return int(result)

    first = Background(function)
    assert gate.reached.wait(30)
    others = [Background(function) for _ in range(3)]
    until("all of them wait", lambda: waiting_for_locks() == 3)
    gate.open.set()
    assert isinstance(first.join(), ZeroDivisionError)
    assert [one.join() for one in others] == [5, 5, 5]
    assert results == []


def test_a_holder_that_is_killed_releases_it() -> None:
    gate = Gate()
    pids: list[int] = []

    def here() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pids.append(cursor.fetchone()[0])

    rows = Sum(before=lambda: (here(), None if len(pids) > 1 else gate.pass_through()))
    function = cached("tests.killed", tables=[Counter], ttl=60)(rows.read)
    first = Background(function)
    assert gate.reached.wait(30)
    second = Background(function)
    until("it waits", lambda: waiting_for_locks() == 1)
    run("SELECT pg_terminate_backend(%s)", [pids[0]])
    assert second.join() == 0
    gate.open.set()
    assert isinstance(first.join(), OperationalError)
    assert rows.calls == 2


def test_an_error_leaves_the_transaction_of_the_caller_usable() -> None:
    function = cached("tests.usable", tables=[Counter], ttl=60)(lambda: run("SELECT 1 / 0"))
    with transaction.atomic():
        with pytest.raises(Exception, match="division by zero"):
            function()
        assert held_locks(connection) == 0
        assert Counter.objects.count() == 0


def test_others_may_be_content_with_a_stale_value() -> None:
    gate = Gate()
    Counter.objects.create(v=1)
    rows = Sum()
    function = cached("tests.stale", tables=[Counter], ttl=60, allow_stale=600)(rows.read)
    first = function.answer()
    Counter.objects.create(v=10)
    rows.before = gate.pass_through
    computing = Background(function.answer)
    assert gate.reached.wait(30)
    stale = function.answer()
    assert (stale.value, stale.hit, stale.stale, stale.computed_at) == (1, True, True, first.computed_at)
    waiting = Background(function)  # never stale
    refusing = Background(lambda: function.answer(allow_stale=0))
    until("they wait", lambda: waiting_for_locks() == 2)
    gate.open.set()
    answer = computing.join()
    assert (answer.value, answer.hit, answer.stale) == (11, False, False)
    assert (waiting.join(), refusing.join().value) == (11, 11)
    assert function.answer().stale is False
    assert (function.counters()["stale"], rows.calls) == (1, 2)


def test_a_value_that_is_too_old_is_not_given_as_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    rows = Sum()
    function = cached("tests.old", tables=[Counter], ttl=60, allow_stale=60)(rows.read)
    function()
    Counter.objects.create(v=10)
    rows.before = gate.pass_through
    computing = Background(function)
    assert gate.reached.wait(30)
    real = clock.now
    with monkeypatch.context() as later:
        later.setattr(clock, "now", lambda: real() + timedelta(seconds=59))
        assert function.answer().stale
        later.setattr(clock, "now", lambda: real() + timedelta(seconds=61))
        waiting = Background(function.answer)
        until("it waits", lambda: waiting_for_locks() == 1)
    gate.open.set()
    assert (computing.join(), waiting.join().value) == (10, 10)


def test_an_expired_value_is_given_as_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    rows = Sum()
    function = cached("tests.expired", tables=[Counter], ttl=1, allow_stale=60)(rows.read)
    function()
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(seconds=30))
    rows.before = gate.pass_through
    computing = Background(function)
    assert gate.reached.wait(30)
    assert function.answer().stale
    gate.open.set()
    assert computing.join() == 0


def test_the_wait_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    rows = Sum(before=lambda: None if gate.reached.is_set() else gate.pass_through())
    function = cached("tests.bounded", tables=[Counter], ttl=60, wait=0.2)(rows.read)
    first = Background(function)
    assert gate.reached.wait(30)
    with caplog.at_level(logging.WARNING, "ops.cache"):
        assert function() == 0
    said = "tests.bounded: another process has been computing for 0.2 s; this one computes as well."
    assert said in caplog.text
    with transaction.atomic():
        Counter.objects.count()
        assert function.answer(_refresh=True).value == 0
    gate.open.set()
    assert first.join() == 0


def test_who_has_waited_computes_under_its_own_lock_timeout() -> None:
    gate = Gate()
    seen = []

    @cached("tests.timeout", tables=[Counter], ttl=60)
    def function() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            seen.append(cursor.fetchone()[0])
        if len(seen) == 1:
            gate.pass_through()
            raise ZeroDivisionError
        return 1

    first = Background(function)
    assert gate.reached.wait(30)
    second = Background(function)
    until("it waits", lambda: waiting_for_locks() == 1)
    gate.open.set()
    assert isinstance(first.join(), ZeroDivisionError)
    assert second.join() == 1
    assert seen == ["0", "0"]


def test_one_cached_function_may_call_another() -> None:
    inner = Sum(before=lambda: clock.pause(0.05))
    below = cached("tests.inner", tables=[Counter], ttl=60)(inner.read)
    outer: list[int] = []

    @cached("tests.outer", tables=[Counter], ttl=60)
    def above(number: int) -> int:
        outer.append(number)
        return below() + number

    assert sorted(together(8, lambda: above(1))) == [1] * 8
    assert (inner.calls, outer) == (1, [1])
    assert together(8, lambda: above(2)) == [2] * 8
    assert (inner.calls, outer) == (1, [1, 2])


def test_with_autocommit_off_each_computes_for_itself(other: BaseDatabaseWrapper) -> None:
    """Nobody would end the transaction, so there is no lock; the cache is used all the same."""
    rows = Sum()
    function = cached("tests.autocommit", tables=[Counter], ttl=60)(rows.read)
    with on(other):
        other.set_autocommit(False)
        assert (function(), function(), rows.calls) == (0, 0, 1)
        assert held_locks(other) == 0
        other.rollback()
        other.set_autocommit(True)
