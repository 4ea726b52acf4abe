"""A cache that is away, hangs or holds rubbish costs no answer; and what is counted is counted over all processes."""

import json
import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.core.cache import caches

from ops.cache import cached, counting
from ops.cache.store import StoreAway, store, troubles
from tests.ops.cache.kit import Background, Gate, Sum, together, waiting_for_locks
from tests.ops.shop import ended, manage
from tests.ops.stack import Stack, until
from tests.shelf.cached import total
from tests.shelf.models import Counter

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def stack(tmp_path: Path, settings: Any) -> Iterator[Stack]:
    """A Redis of the test's own, which can be killed; the project's cache is in it."""
    made = Stack(tmp_path)
    made.start_broker()
    settings.CACHES = {
        "default": {
            **project.CACHES["default"],
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"unix://{made.socket}?db=1",
        }
    }
    yield made
    if made.broker is not None:
        made.broker.send_signal(signal.SIGCONT)
    made.stop()


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "ops.cache"]


def test_while_redis_is_down_answers_are_computed_and_it_is_said_once(
    stack: Stack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.cache.store.LEFT_ALONE", 0.3)
    rows = Sum()
    function = cached("tests.down", tables=[Counter], ttl=60)(rows.read)
    assert (function(), function()) == (0, 0)
    stack.kill_broker()
    with caplog.at_level(logging.INFO, "ops.cache"):
        assert [function() for _ in range(5)] == [0] * 5
        until("it is tried again", store.is_open)
        assert [function() for _ in range(5)] == [0] * 5
    assert rows.calls == 11
    assert [(level, text.partition(" (")[0]) for level, text in said(caplog)] == [
        ("ERROR", "The cache 'default' fails")
    ]
    assert said(caplog)[0][1].endswith("; answers are computed until it works.")
    with pytest.raises(StoreAway, match=r"^The cache 'default' does not answer \(ConnectionError: .*start Redis"):
        list(store.entries())

    stack.start_broker()
    caplog.clear()
    with caplog.at_level(logging.INFO, "ops.cache"):
        until("it works again", lambda: function.answer().hit)
    assert said(caplog)[0] == ("INFO", "The cache 'default' works again.")
    # What was counted meanwhile is not lost.
    assert function.misses == rows.calls
    # A minute later it is said again.
    stack.kill_broker()
    function()
    troubles.forget()
    store.reopen()
    caplog.clear()
    function()
    assert [level for level, _ in said(caplog)] == ["ERROR"]


def test_a_redis_that_hangs_costs_a_moment_and_then_nothing(stack: Stack) -> None:
    rows = Sum()
    function = cached("tests.hangs", tables=[Counter], ttl=60)(rows.read)
    assert function() == 0
    assert stack.broker is not None
    stack.broker.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    assert [function() for _ in range(20)] == [0] * 20
    taken = time.monotonic() - begin
    assert rows.calls == 21
    # Once a quarter of a second, not twenty times; with room for a busy machine.
    assert 0.2 < taken < 2
    stack.broker.send_signal(signal.SIGCONT)
    store.reopen()
    assert function.answer().hit


def put_bytes(found: bytes) -> None:
    """Put something of somebody else's in the place of each value that is kept."""
    cache: Any = caches["default"]
    client = cache._cache.get_client()
    (key,) = client.scan_iter(match="*cached:*")
    client.set(key, found)


class Gone:
    """What the code had a class for, once."""

    def __reduce__(self) -> Any:
        return (eval, ("no_such_name",))


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"rubbish",
        b"17",
        *map(pickle.dumps, [None, (99, {}), (1, {"a": 1}), [], Gone(), (1, 2, 3)]),
        pickle.dumps((1, {}))[:-3],
    ],
)
def test_what_can_not_be_read_is_computed_and_kept_anew(rubbish: bytes, caplog: pytest.LogCaptureFixture) -> None:
    rows = Sum()
    function = cached("tests.rubbish", tables=[Counter], ttl=60)(rows.read)
    function()
    put_bytes(rubbish)
    assert list(store.entries()) == []
    assert (function(), rows.calls) == (0, 2)
    assert (function(), rows.calls) == (0, 2)
    for level, text in said(caplog):
        assert level == "WARNING"
        assert text.startswith("The cache 'default' holds something of tests.rubbish that can't be read (")
    assert len(said(caplog)) <= 1


def at_once(parties: int) -> Callable[[], object]:
    """Return what passes only when so many are in it at once."""
    barrier = threading.Barrier(parties)
    return lambda: barrier.wait(20)


def test_without_redis_nobody_waits_for_another(stack: Stack) -> None:
    stack.kill_broker()
    rows = Sum(before=at_once(5))
    function = cached("tests.convoy", tables=[Counter], ttl=60)(rows.read)
    assert together(5, function) == [0] * 5
    assert rows.calls == 5


def test_those_who_wait_when_redis_dies_compute_side_by_side(stack: Stack) -> None:
    gate = Gate()
    side_by_side = at_once(3)
    rows = Sum(before=lambda: side_by_side() if gate.reached.is_set() else gate.pass_through())
    function = cached("tests.dies", tables=[Counter], ttl=60)(rows.read)
    first = Background(function)
    assert gate.reached.wait(30)
    others = [Background(function) for _ in range(3)]
    until("they wait", lambda: waiting_for_locks() == 3)
    stack.kill_broker()
    gate.open.set()
    assert [one.join() for one in (first, *others)] == [0] * 4
    assert rows.calls == 4


def test_counters_are_those_of_all_processes() -> None:
    Counter.objects.create(v=3)
    assert [total(), total(), total()] == [3, 3, 3]
    code, out, err = ended(manage("cache", "warm", "shelf.total", "--json"))
    assert (code, err) == (0, "")
    assert json.loads(out) == {"caches": [{"name": "shelf.total", "computed": 1, "there": 1}]}
    assert total("a") is None
    assert (total.hits, total.misses) == (4, 2)
    assert total.counters() == {"hits": 4, "misses": 2, "stale": 0, "passed": 0}


def test_counts_are_added_in_batches_and_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[dict[str, int]] = []
    real = store.add
    monkeypatch.setattr(store, "add", lambda counts: added.append(dict(counts)) or real(counts))
    monkeypatch.setattr(counting, "EVERY", 1000.0)
    monkeypatch.setattr(counting.counting, "_added_at", -10_000.0)
    function = cached("tests.batches", tables=[Counter], ttl=60)(lambda: 1)
    for _ in range(100):
        function()
    assert added == [{"tests.batches:misses": 1}]
    assert (function.hits, function.misses) == (99, 1)
    assert [one for one in added[1:] if one] == [{"tests.batches:hits": 99}]


def test_a_forked_process_counts_what_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting.counting, "_added_at", time.monotonic() + 1000)
    for _ in range(5):
        counting.counting.count("tests.fork", "hits")
    child = os.fork()
    if not child:
        counting.counting.count("tests.fork", "hits")
        counting.counting.leave()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert counting.counting.of("tests.fork")["hits"] == 6


def test_a_counter_that_is_no_number_begins_anew() -> None:
    for kind in counting.KINDS:
        caches["default"].set(f"counted:tests.number:{kind}", "rubbish", None)
    function = cached("tests.number", tables=[Counter], ttl=60)(lambda: 1)
    assert function.counters() == {"hits": 0, "misses": 0, "stale": 0, "passed": 0}
    assert [function(), function()] == [1, 1]
    assert (function.hits, function.misses) == (1, 1)
    assert store.is_open()


@pytest.mark.parametrize("refusing", [("min-replicas-to-write", "1"), ("maxmemory", "1")])
def test_a_redis_that_refuses_writes_costs_no_answer(
    stack: Stack, refusing: tuple[str, str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "EVERY", 0.0)
    rows = Sum()
    function = cached("tests.refusing", tables=[Counter], ttl=60)(rows.read)
    assert (function(), function(), rows.calls) == (0, 0, 1)
    cache: Any = caches["default"]
    client = cache._cache.get_client()
    client.config_set(*refusing)
    for _ in range(3):
        store.reopen()
        assert function() == 0
        store.reopen()
        assert function(_refresh=True) == 0
        store.drop("tests.refusing", "none")
    assert [level for level, _ in said(caplog)] == ["ERROR"]
    assert "; answers are computed until it works." in said(caplog)[0][1]
    client.config_set(refusing[0], "0")
    store.reopen()
    assert function.answer(_refresh=True).value == 0
    assert function.answer().hit
