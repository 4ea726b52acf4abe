"""Two connections write, read, commit and roll back in any order: no answer is ever stale; no two keys are one."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connections, transaction
from django.utils.safestring import mark_safe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from ops.cache import cached
from ops.cache.caching import Cached
from ops.cache.keying import Unkeyable, encode
from ops.cache.store import store
from tests.ops.cache.kit import on, run
from tests.shelf.models import Counter

Rows = dict[str, list[int]]
OWNERS = st.sampled_from("ab")
NUMBERS = st.integers(0, 9)

ADD = "INSERT INTO shelf_counter (v, note, email) VALUES (%(n)s, %(o)s, '')"
ROADS: dict[str, tuple[str, Callable[[list[int], int], list[int]]]] = {
    "insert": (ADD, lambda rows, n: [*rows, n]),
    "update": ("UPDATE shelf_counter SET v = %(n)s WHERE note = %(o)s", lambda rows, n: [n] * len(rows)),
    "delete": ("DELETE FROM shelf_counter WHERE note = %(o)s", lambda rows, n: []),
    "nothing": ("UPDATE shelf_counter SET v = 5 WHERE note = %(o)s AND false", lambda rows, n: rows),
    "merge": (
        """MERGE INTO shelf_counter AS c USING (SELECT 1) AS x ON c.note = %(o)s
        WHEN MATCHED THEN UPDATE SET v = v + %(n)s
        WHEN NOT MATCHED THEN INSERT (v, note, email) VALUES (%(n)s, %(o)s, '')""",
        lambda rows, n: [one + n for one in rows] or [n],
    ),
}


def _total(note: str | None = None) -> int:
    meanwhile = World.meanwhile
    if meanwhile is not None:
        meanwhile("before")
    found = Counter.objects.all() if note is None else Counter.objects.filter(note=note)
    value = sum(found.values_list("v", flat=True))
    if meanwhile is not None:
        meanwhile("after")
    return value


class World(RuleBasedStateMachine):
    """What each connection sees, by the rules of PostgreSQL; each writes rows of its own, so that none blocks."""

    function: Cached[int]
    meanwhile: Callable[[str], None] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.connections = {owner: connections["default"].copy() for owner in "ab"}
        self.committed: Rows = {"a": [], "b": []}
        self.own: dict[str, list[int]] = {}
        """What a connection has made of its rows, where it is in a transaction."""
        self.snapshots: dict[str, Rows] = {}
        self.blocks: dict[str, list[tuple[transaction.Atomic, list[int]]]] = {"a": [], "b": []}
        run("DELETE FROM shelf_counter")

    def teardown(self) -> None:
        for owner, connection in self.connections.items():
            while self.blocks[owner]:
                self.leave(owner, back=True)
            connection.close()

    def view(self, owner: str) -> Rows:
        seen = dict(self.snapshots.get(owner, self.committed))
        if owner in self.own:
            seen[owner] = self.own[owner]
        return seen

    def wanted(self, owner: str, note: str | None) -> int:
        seen = self.view(owner)
        return sum(map(sum, seen.values())) if note is None else sum(seen[note])

    def leave(self, owner: str, *, back: bool) -> None:
        block, before = self.blocks[owner].pop()
        with on(self.connections[owner]):
            if back:
                transaction.set_rollback(True)
            block.__exit__(None, None, None)
        if back:
            self.own[owner] = before
        if not self.blocks[owner]:
            self.committed = {**self.committed, owner: self.own.pop(owner)}
            self.snapshots.pop(owner, None)

    @rule(owner=OWNERS, snapshot=st.booleans())
    def begin(self, owner: str, snapshot: bool) -> None:
        """Begin a transaction, or a savepoint in it."""
        outermost = not self.blocks[owner]
        self.own.setdefault(owner, self.committed[owner])
        with on(self.connections[owner]):
            block = transaction.atomic()
            block.__enter__()
            if outermost and snapshot:
                run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                run("SELECT 1 FROM shelf_counter")
                self.snapshots[owner] = self.committed
        self.blocks[owner].append((block, self.own[owner]))

    @precondition(lambda self: any(self.blocks.values()))
    @rule(owner=OWNERS, back=st.booleans())
    def end(self, owner: str, back: bool) -> None:
        if self.blocks[owner]:
            self.leave(owner, back=back)

    @rule(owner=OWNERS, road=st.sampled_from(sorted(ROADS)), number=NUMBERS)
    def write(self, owner: str, road: str, number: int) -> None:
        statement, effect = ROADS[road]
        run(statement, {"n": number, "o": owner}, self.connections[owner])
        if owner in self.own:
            self.own[owner] = effect(self.own[owner], number)
        else:
            self.committed = {**self.committed, owner: effect(self.committed[owner], number)}

    @rule(owner=OWNERS, note=st.sampled_from(["a", "b", None]))
    def read(self, owner: str, note: str | None) -> None:
        with on(self.connections[owner]):
            assert self.function(note) == self.wanted(owner, note)

    @rule(
        owner=OWNERS, note=st.sampled_from(["a", "b", None]), when=st.sampled_from(["before", "after"]), number=NUMBERS
    )
    def read_while_another_writes(self, owner: str, note: str | None, when: str, number: int) -> None:
        """The other one writes, and commits unless it is in a transaction, around the reading of the rows."""
        other = {"a": "b", "b": "a"}[owner]
        possible = {self.wanted(owner, note)}

        def meanwhile(now: str) -> None:
            if now == when:
                World.meanwhile = None
                self.write(other, "insert", number)

        World.meanwhile = meanwhile
        with on(self.connections[owner]):
            found = self.function(note)
        World.meanwhile = None
        possible.add(self.wanted(owner, note))
        assert found in possible
        # And whatever was kept of it, nobody is answered by it who asks later.
        self.read(owner, note)
        self.read(other, note)

    @rule(owner=OWNERS, note=st.sampled_from(["a", None]))
    def invalidate(self, owner: str, note: str | None) -> None:
        with on(self.connections[owner]):
            self.function.invalidate(*([note] if note else []))

    @rule(owner=OWNERS)
    def refresh(self, owner: str) -> None:
        with on(self.connections[owner]):
            assert self.function(_refresh=True) == self.wanted(owner, None)


def _never_stale(examples: int, steps: int) -> None:
    World.function = cached("tests.state", tables=[Counter], ttl=600, allow_stale=600)(_total)
    run_state_machine_as_test(
        World,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    found = World.function.counters()
    # It was the cache that answered, not only the tables.
    assert found["hits"] > examples
    assert found["misses"] > examples
    assert found["stale"] == 0
    assert any(True for _ in store.entries("tests.state"))


@pytest.mark.usefixtures("fresh")
def test_no_answer_is_ever_stale() -> None:
    _never_stale(20, 30)


@pytest.mark.soak
@pytest.mark.usefixtures("fresh")
def test_no_answer_is_ever_stale_at_length() -> None:
    _never_stale(150, 50)


class Colour(Enum):
    RED = 1
    BLUE = 2


class Size(StrEnum):
    SMALL = "small"


class Level(IntEnum):
    LOW = 1


ZONES = st.sampled_from([None, UTC, ZoneInfo("Asia/Seoul"), ZoneInfo("America/New_York")])
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, -0.0, 1.5, math.inf, math.nan]),
    st.sampled_from([Decimal(0), Decimal(1), Decimal("1.0"), Fraction(1), Fraction(1, 2)]),
    st.text("a,'\"[]{}:=\\", max_size=3),
    st.binary(max_size=2),
    st.sampled_from([date(2026, 1, 1), timedelta(1), timedelta(0), time(1), time(1, fold=1), UUID(int=1)]),
    st.builds(lambda zone, fold: datetime(2026, 11, 1, 1, tzinfo=zone, fold=fold), ZONES, st.sampled_from([0, 1])),
    st.sampled_from(Colour),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
        st.frozensets(PLAIN, max_size=2),
    ),
    max_leaves=6,
)


def alike(one: Any, other: Any) -> bool:
    """Say whether two values are the same by type and by what they hold; a list is as a tuple."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    return repr(one) == repr(other)


@given(VALUES, VALUES)
@settings(max_examples=400, deadline=None)
def test_two_values_have_one_key_only_if_they_are_alike(one: Any, other: Any) -> None:
    assert (encode(one) == encode(other)) == alike(one, other)


def test_what_equals_a_text_or_a_number_is_one() -> None:
    assert encode(Size.SMALL) == encode("small")
    assert encode(Level.LOW) == encode(1)
    assert encode({"b": 1, "a": 2}) == encode({"a": 2, "b": 1})
    assert encode({3, 1, 2}) == encode(frozenset([1, 2, 3]))
    assert encode(ZoneInfo("Asia/Seoul")) != encode("Asia/Seoul")


class Range(NamedTuple):
    first: int
    last: int


class Backwards(NamedTuple):
    last: int
    first: int


def test_what_a_class_of_its_own_means_is_told_apart() -> None:
    assert encode(mark_safe("<i>")) != encode("<i>")
    assert encode([mark_safe("<i>")]) == encode((mark_safe("<i>"),))
    assert len({encode(one) for one in (Range(1, 2), Backwards(1, 2), (1, 2))}) == 3


class OwnDict(dict[str, int]):
    pass


@pytest.mark.parametrize(
    "value", [object(), OwnDict(a=1), iter([]), {}.keys(), lambda: 1, int, [object()], {1: object()}]
)
def test_what_may_hold_more_than_it_shows_has_no_key(value: Any) -> None:
    with pytest.raises(Unkeyable):
        encode(value)
