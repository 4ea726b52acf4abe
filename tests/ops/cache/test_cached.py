"""What `cached(..)` answers with, when it computes, and what it counts."""

import logging
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections, transaction

from ops.cache import BadCached, Tag, UnknownCached, cached, find, names, registry
from ops.cache.store import Uncacheable, store
from tests.ops.cache.kit import Clock, Sum, run
from tests.shelf.cached import total
from tests.shelf.models import Counter, Ticket

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.mark.parametrize(
    "value", [None, 0, "", False, [], {}, 1, -5, Decimal("1.50"), "text", {"a": [1, None]}, 2**70, 0.1, b"\0"]
)
def test_a_value_is_a_value_whatever_it_is(value: Any) -> None:
    calls = []

    @cached("tests.value", tables=[Counter], ttl=60)
    def function() -> Any:
        calls.append(1)
        return value

    assert [function() for _ in range(3)] == [value] * 3
    assert type(function()) is type(value)
    assert len(calls) == 1
    assert (function.misses, function.hits) == (1, 3)


def test_a_write_makes_it_compute_anew_and_another_table_does_not() -> None:
    rows = Sum()
    function = cached("tests.sum", tables=[Counter], ttl=60)(rows.read)
    assert (function(), function()) == (0, 0)
    Counter.objects.create(v=5)
    assert (function(), function()) == (5, 5)
    Ticket.objects.create(v=7)
    assert (function(), rows.calls) == (5, 2)
    Counter.objects.update(v=6)
    assert (function(), rows.calls) == (6, 3)
    Counter.objects.all().delete()
    assert (function(), rows.calls) == (0, 4)


def test_arguments_are_told_apart_and_defaults_are_filled_in() -> None:
    calls = []

    @cached("tests.arguments", tables=[Counter], ttl=60)
    def function(a: Any, b: Any = 2, *rest: Any, c: Any = None, **more: Any) -> str:
        calls.append(a)
        return repr((a, b, rest, c, more))

    same = [function(1), function(1, 2), function(a=1), function(b=2, a=1), function(1, c=None)]
    assert set(same) == {repr((1, 2, (), None, {}))}
    assert len(calls) == 1
    others = [
        function("1"), function(True), function(1.0), function(Decimal(1)), function(1, 3), function(1, c=0),
        function(1, 2, 3), function(1, more=1), function(None), function([1]), function({1}), function({1: 1}),
    ]  # fmt: skip
    assert len(set(others)) == len(others) == len(calls) - 1


def test_an_argument_of_an_unknown_type_is_refused_in_words() -> None:
    @cached("tests.refused", tables=[Counter], ttl=60)
    def function(row: Any) -> int:
        return 1

    with pytest.raises(TypeError, match=r"^tests.refused: the argument 'row' holds a Counter, which can't be part of"):
        function(Counter())
    with pytest.raises(TypeError, match=r"holds a object, which"):
        function([{"a": object()}])
    with pytest.raises(TypeError, match=r"^tests.refused\(row: Any\) -> int: missing a required argument: 'row'\.$"):
        function()


def test_a_key_function_decides_what_counts() -> None:
    calls = []

    @cached("tests.key", tables=[Counter], ttl=60, key=lambda row, note="": (row.pk, note))
    def function(row: Counter, note: str = "") -> str:
        calls.append(row.pk)
        return f"{row.pk}{note}"

    assert function(Counter(pk=1, v=1)) == function(Counter(pk=1, v=2)) == "1"
    assert function(Counter(pk=2)) == "2"
    assert calls == [1, 2]
    bad = cached("tests.badkey", tables=[Counter], ttl=60, key=lambda row: row)(lambda row: 1)
    with pytest.raises(TypeError, match=r"^tests.badkey: key= returned a Counter, which can't be part of"):
        bad(Counter())


def test_other_code_does_not_find_the_values_of_this() -> None:
    def declare(function: Any, **more: Any) -> Any:
        registry._registered.pop("tests.code", None)
        return cached("tests.code", tables=[Counter], ttl=60, **more)(function)

    assert declare(lambda: 1)() == 1
    assert declare(lambda: 2)() == 2
    hits = declare(lambda: 1)
    assert (hits(), hits.hits) == (1, 1)
    assert declare(lambda: 1, version="2").answer().hit is False
    assert declare(lambda: 1, uses=["billing/total_subscriptions.sql"]).answer().hit is False
    assert declare(lambda: 1, uses=["billing/total_subscriptions.sql"]).answer().hit is True
    assert declare(lambda: 1, uses=[Sum.read]).answer().hit is False
    # What a function within it does counts.
    assert declare(lambda: sorted([1, 2], key=lambda x: x))() == [1, 2]
    assert declare(lambda: sorted([1, 2], key=lambda x: -x))() == [2, 1]


def test_a_value_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Clock(monkeypatch)
    rows = Sum()
    function = cached("tests.expires", tables=[Counter], ttl=60, early=False)(rows.read)
    assert function() == 0
    time.pass_by(59.9)
    assert function.answer().hit
    time.pass_by(0.1)
    answer = function.answer()
    assert (answer.hit, answer.computed_at, rows.calls) == (False, time.moment, 2)


def test_refresh_computes_and_keeps() -> None:
    values = iter([1, 2, 3])
    function = cached("tests.refresh", tables=[Counter], ttl=60)(lambda: next(values))
    assert [function(), function(), function(_refresh=True), function()] == [1, 1, 2, 2]
    answer = function.answer(_refresh=True)
    assert (answer.value, answer.hit, answer.stale) == (3, False, False)
    assert function() == 3


def test_invalidate_one_or_all() -> None:
    calls = []

    @cached("tests.invalidate", tables=[Counter], ttl=60)
    def function(a: int, b: int = 0) -> int:
        calls.append(a)
        return a

    def ask() -> list[int]:
        calls.clear()
        assert [function(1), function(2), function(2, b=1)] == [1, 2, 2]
        return list(calls)

    assert ask() == [1, 2, 2]
    assert ask() == []
    function.invalidate(2, b=0)
    assert ask() == [2]
    function.invalidate()
    assert ask() == [1, 2, 2]
    with transaction.atomic():
        function.invalidate(1)
        transaction.set_rollback(True)
    assert ask() == []


def test_in_a_transaction_that_has_written_the_cache_is_passed_by() -> None:
    rows = Sum()
    function = cached("tests.dirty", tables=[Counter], ttl=60)(rows.read)
    assert function() == 0
    with transaction.atomic():
        Counter.objects.create(v=5)
        assert [function(), function()] == [5, 5]
        transaction.set_rollback(True)
    assert function() == 0
    assert (rows.calls, function.counters()) == (3, {"hits": 1, "misses": 1, "stale": 0, "passed": 2})


def test_a_function_that_writes_is_not_kept() -> None:
    @cached("tests.writes", tables=[Ticket], ttl=60)
    def function() -> int:
        Counter.objects.create(v=1)
        return Counter.objects.count()

    assert [function(), function()] == [1, 2]
    with transaction.atomic():
        assert function() == 3
    # What it wrote within a transaction of the caller's is not rolled back with its savepoint.
    assert Counter.objects.count() == 3


def test_what_can_not_be_kept_is_an_error() -> None:
    function = cached("tests.unkept", tables=[Counter], ttl=60)(lambda: lambda: 1)
    with pytest.raises(Uncacheable, match=r"^tests.unkept returned a function, which can't be kept in a cache \("):
        function()


def test_a_table_without_a_trigger_is_computed_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    function = cached("tests.unversioned", tables=["django_session"], ttl=60)(lambda: 1)
    with caplog.at_level(logging.ERROR, "ops.cache"):
        assert [function(), function()] == [1, 1]
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("tests.unversioned is not cached: No trigger of database 'default' moves the version of ")
    assert "django_session: declare what is read (cached(.., tables=..)" in said
    assert function.counters() == {"hits": 0, "misses": 0, "stale": 0, "passed": 2}


def test_early_refresh_is_by_chance_and_by_the_time_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Clock(monkeypatch)
    chance = [0.0]
    monkeypatch.setattr("ops.cache.caching.draw", lambda: chance[0])
    monkeypatch.setattr("ops.clock.monotonic", iter(range(0, 100_000, 10)).__next__)  # ten seconds between two looks
    rows = Sum()
    function = cached("tests.early", tables=[Counter], ttl=600)(rows.read)
    function()
    (entry,) = store.entries("tests.early")
    assert entry.took == 10
    time.pass_by(580)
    assert function.answer().hit  # 20 seconds before it expires, and 0 drawn: not yet
    chance[0] = 0.5  # 10 * ln 2 = 6.9 seconds ahead
    assert function.answer().hit
    chance[0] = 0.9  # 10 * ln 10 = 23 seconds ahead
    answer = function.answer()
    assert (answer.hit, answer.stale, rows.calls) == (False, False, 2)
    assert function.answer().hit  # it expires 600 seconds later now
    assert [one.expires_at for one in store.entries("tests.early")] == [time.moment + timedelta(seconds=600)]


def test_an_early_refresh_that_fails_leaves_the_value_that_is_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    time = Clock(monkeypatch)
    monkeypatch.setattr("ops.cache.caching.draw", lambda: 0.99)
    monkeypatch.setattr("ops.clock.monotonic", iter(range(0, 100_000, 10)).__next__)
    results: list[Any] = [1, ZeroDivisionError("no"), 2]

    def read() -> int:
        found = results.pop(0)
        time.pass_by(10)
        if isinstance(found, Exception):
            run("SELECT 1 / 0")
        return int(found)

    function = cached("tests.ahead", tables=[Counter], ttl=40)(read)
    with transaction.atomic():
        assert (function(), function()) == (1, 1)
        assert Counter.objects.count() == 0  # the caller's transaction goes on
    assert "tests.ahead could not be computed ahead of its expiry (DataError: division by zero" in caplog.text
    assert function() == 2


def test_names_are_found_and_taken_once() -> None:
    assert {"billing.subscriptions_total", "shelf.total"} <= set(names())
    assert find("shelf.total") is total
    with pytest.raises(
        UnknownCached, match=r"^Nothing is cached by the name 'shelf.totl'; there is: billing\..*shelf\."
    ):
        find("shelf.totl")
    with pytest.raises(BadCached, match=r"is to be cached as 'shelf.total', as tests.shelf.cached.total is; give one"):
        cached("shelf.total", tables=[Counter], ttl=1)(lambda: 1)
    with pytest.raises(BadCached, match=r"<lambda> is to be cached as 'tests.twice', as .*<lambda> is; give"):
        [cached("tests.twice", tables=[Counter], ttl=1)(lambda: 1) for _ in range(2)]
    assert total.__name__ == "total"
    assert total.__doc__ == "Return the sum of the counters, or of those with a note; None where there is none."
    assert repr(total) == "<cached shelf.total>"


async def _coroutine() -> int:
    return 1


def _generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "more", "said"),
    [
        (
            lambda: 1,
            {"name": "No Name"},
            "'No Name' is no name for a cache: write it like billing.subscriptions_total.",
        ),
        (lambda: 1, {"ttl": 0}, "tests.bad: ttl=0 keeps nothing; give it seconds of more than 0."),
        (lambda: 1, {"allow_stale": -1}, "tests.bad: allow_stale=-1 is in the future; give it seconds."),
        (
            lambda: 1,
            {"tables": []},
            "tests.bad: tables= names none; name every table that is read, or values grow stale.",
        ),
        (lambda: 1, {"tables": "shelf_counter"}, "tests.bad: tables= is a list; write 'shelf_counter' in brackets."),
        (
            lambda: 1,
            {"tags": {"shelf_counter": Tag("note", lambda: [1])}},
            "tests.bad: shelf_counter is in tables= and in tags=; name it in one of them.",
        ),
        (lambda: 1, {"uses": "a.sql"}, "tests.bad: uses= is a list; write 'a.sql' in brackets."),
        (_coroutine, {}, "returns no value but something to run; return the value."),
        (_generator, {}, "returns no value but something to run; return the value."),
        (lambda allow_stale: 1, {}, "has a parameter 'allow_stale', which is cached's own."),
        (lambda _refresh: 1, {}, "has a parameter '_refresh', which is cached's own."),
        (len, {}, "<built-in function len> is no Python function, so a change of it can't be seen; wrap it in one."),
    ],
)
def test_a_declaration_that_can_not_work_is_refused(function: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(BadCached) as caught:
        cached(**{"name": "tests.bad", "tables": [Counter], "ttl": 60, **more})(function)
    assert str(caught.value).endswith(said)
    assert "tests.bad" not in names()


def test_another_cache_may_be_named(settings: Any) -> None:
    settings.CACHES = {
        **settings.CACHES,
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "named"},
    }
    settings.SETWISE_CACHE = "local"
    rows = Sum()
    function = cached("tests.named", tables=[Counter], ttl=60)(rows.read)
    assert (function(), function(), rows.calls) == (0, 0, 1)
    assert (function.hits, function.misses) == (1, 1)
    settings.SETWISE_CACHE = "default"
    assert (function(), rows.calls) == (0, 2)
    assert connections["default"].in_atomic_block is False
