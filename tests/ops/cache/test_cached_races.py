"""The interleavings in which caches are known to grow stale, each with real connections: none of them does here."""

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ops.cache import cached, triggers
from ops.cache.store import store
from tests.ops.cache.kit import Background, Gate, Sum, on, run
from tests.shelf.models import Counter

pytestmark = pytest.mark.usefixtures("fresh")
ADD = "INSERT INTO shelf_counter (v, note, email) VALUES (%s, '', '')"


@pytest.fixture
def one() -> None:
    Counter.objects.create(v=1)


def test_set_after_invalidate(one: None, other: BaseDatabaseWrapper) -> None:
    """A has read the old rows and is slow; B writes, and whoever would delete keys has done so; A keeps its value."""
    gate = Gate()
    rows = Sum(after=gate.pass_through)
    function = cached("tests.race", tables=[Counter], ttl=60, wait=0.1)(rows.read)
    slow = Background(function)
    assert gate.reached.wait(30)
    run(ADD, [10], other)
    gate.open.set()
    assert slow.join() == 1
    assert [entry.value for entry in store.entries("tests.race")] == [1]
    assert function() == 11


def test_invalidate_while_it_is_computed(one: None) -> None:
    """The same by hand: what was begun before `invalidate` may be kept after it, and does not answer."""
    gate = Gate()
    rows = Sum(after=gate.pass_through)
    function = cached("tests.byhand", tables=[Counter], ttl=60)(rows.read)
    slow = Background(function)
    assert gate.reached.wait(30)
    function.invalidate()
    gate.open.set()
    assert slow.join() == 1
    assert len(list(store.entries("tests.byhand"))) == 1
    answer = function.answer()
    assert (answer.hit, answer.value, rows.calls) == (False, 1, 2)
    assert function.answer().hit


def test_commit_after_read(one: None, other: BaseDatabaseWrapper) -> None:
    """A writer has written and not committed while the old rows are read and kept; then it commits."""
    rows = Sum()
    function = cached("tests.commit", tables=[Counter], ttl=60)(rows.read)
    with on(other), transaction.atomic():
        run(ADD, [10])
        with on(other.copy()):
            assert [function(), function()] == [1, 1]
            connection.close()
    assert (function(), rows.calls) == (11, 2)


def test_commit_between_versions_and_computation(one: None, other: BaseDatabaseWrapper) -> None:
    """The value is newer than its versions say: no later caller finds it, and an older snapshot doesn't get it."""
    todo = [10]
    rows = Sum(before=lambda: todo and run(ADD, [todo.pop()], other))
    function = cached("tests.between", tables=[Counter], ttl=60)(rows.read)
    with on(other.copy()):
        with transaction.atomic():
            run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            assert Counter.objects.count() == 1
            with on(connections["default"].copy()):
                assert function() == 11
                connection.close()
            assert [entry.exact for entry in store.entries("tests.between")] == [False]
            assert (function(), rows.calls) == (1, 2)
        connection.close()
    assert (function(), rows.calls) == (11, 3)
    assert function.answer().hit


def test_an_older_snapshot_does_not_drive_out_what_is_newer(one: None, other: BaseDatabaseWrapper) -> None:
    rows = Sum()
    function = cached("tests.snapshot", tables=[Counter], ttl=60)(rows.read)
    with on(other), transaction.atomic():
        run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert function() == 1
        with on(other.copy()):
            run(ADD, [10])
            assert function() == 11
            connection.close()
        # Its own snapshot, computed each time; the newer value stays.
        assert [function(), function()] == [1, 1]
    assert function.answer().hit
    assert (function(), rows.calls) == (11, 4)


def test_rollback_changes_nothing(one: None, other: BaseDatabaseWrapper) -> None:
    rows = Sum()
    function = cached("tests.rollback", tables=[Counter], ttl=60)(rows.read)
    assert function() == 1
    with on(other), transaction.atomic():
        run(ADD, [10])
        assert function() == 11
        transaction.set_rollback(True)
    assert function.answer().hit
    assert (function(), rows.calls) == (1, 2)


def test_a_savepoint_rolled_back_before_a_write(one: None) -> None:
    rows = Sum()
    function = cached("tests.savepoint", tables=[Counter], ttl=60)(rows.read)
    assert function() == 1
    with transaction.atomic():
        run(ADD, [10])
        with transaction.atomic():
            run(ADD, [100])
            transaction.set_rollback(True)
    assert function() == 11
    with transaction.atomic():
        with transaction.atomic():
            run(ADD, [100])
            transaction.set_rollback(True)
        run(ADD, [1000])
    assert (function(), rows.calls) == (1011, 3)


def _copy() -> None:
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY shelf_counter (v, note, email) FROM STDIN (FORMAT csv)", StringIO("10,a,b\n"))


ROADS: dict[str, tuple[Callable[[], object], int]] = {
    "save": (lambda: Counter.objects.create(v=10), 11),
    "bulk_create": (lambda: Counter.objects.bulk_create([Counter(v=5), Counter(v=5)]), 11),
    "queryset.update": (lambda: Counter.objects.update(v=10), 10),
    "queryset.delete": (lambda: Counter.objects.all().delete(), 0),
    "INSERT": (lambda: run(ADD, [10]), 11),
    "UPDATE": (lambda: run("UPDATE shelf_counter SET v = v + 1"), 2),
    "UPDATE FROM": (lambda: run("UPDATE shelf_counter AS c SET v = x.v FROM (VALUES (7)) AS x (v)"), 7),
    "DELETE": (lambda: run("DELETE FROM shelf_counter"), 0),
    "TRUNCATE": (lambda: run("TRUNCATE shelf_counter CASCADE"), 0),
    "COPY": (_copy, 11),
    "MERGE": (
        lambda: run(
            "MERGE INTO shelf_counter AS c USING (VALUES (1, 20), (2, 30)) AS x (v, w) ON c.v = x.v "
            "WHEN MATCHED THEN UPDATE SET v = x.w "
            "WHEN NOT MATCHED THEN INSERT (v, note, email) VALUES (x.w, '', '')"
        ),
        50,
    ),
    "ON CONFLICT": (
        lambda: run(
            "INSERT INTO shelf_counter (id, v, note, email) SELECT id, 3, '', '' FROM shelf_counter "
            "ON CONFLICT (id) DO UPDATE SET v = excluded.v"
        ),
        3,
    ),
    "WITH": (lambda: run("WITH gone AS (DELETE FROM shelf_counter RETURNING v) SELECT v FROM gone"), 0),
    "DO": (lambda: run("DO $$ BEGIN UPDATE shelf_counter SET v = 9; END $$"), 9),
}


@pytest.mark.parametrize("road", ROADS)
def test_a_write_by_any_road_is_seen(road: str, one: None, other: BaseDatabaseWrapper) -> None:
    write, after = ROADS[road]
    function = cached("tests.road", tables=[Counter], ttl=60)(Sum().read)
    assert (function(), function.answer().hit) == (1, True)
    with on(other):
        write()
    assert function.answer().hit is False
    assert function() == after == sum(Counter.objects.values_list("v", flat=True))


@pytest.fixture
def family(settings: Any) -> Iterator[None]:
    """Two tables of which one cascades in the database, where no ORM sees it."""
    run("CREATE TABLE kit_parent (id int PRIMARY KEY)")
    run("CREATE TABLE kit_child (id int PRIMARY KEY, parent int REFERENCES kit_parent ON DELETE CASCADE)")
    run("INSERT INTO kit_parent VALUES (1), (2)")
    run("INSERT INTO kit_child VALUES (1, 1), (2, 1), (3, 2)")
    settings.SETWISE_VERSIONED_TABLES = ["kit_parent", "kit_child"]
    triggers.install("default")
    yield
    run("DROP TABLE kit_parent, kit_child")


def _children() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kit_child")
        (found,) = cursor.fetchone()
    return int(found)


def test_a_cascade_in_the_database_is_seen(family: None, other: BaseDatabaseWrapper) -> None:
    function = cached("tests.cascade", tables=["kit_child"], ttl=60)(_children)
    assert (function(), function.answer().hit) == (3, True)
    run("DELETE FROM kit_parent WHERE id = 1", using=other)
    assert (function(), function.answer().hit) == (1, True)
    run("TRUNCATE kit_parent CASCADE", using=other)
    assert function() == 0


def test_a_table_that_is_made_anew_is_another_one(family: None) -> None:
    function = cached("tests.anew", tables=["kit_child"], ttl=60)(_children)
    assert (function(), function.answer().hit) == (3, True)
    run("DROP TABLE kit_child")
    run("CREATE TABLE kit_child (id int PRIMARY KEY, parent int)")
    assert function() == 0  # without a trigger: computed
    triggers.install("default")
    assert (function(), function.answer().hit) == (0, True)


def test_what_is_applied_for_a_replica_is_seen(one: None, other: BaseDatabaseWrapper) -> None:
    """`session_replication_role = replica` turns ordinary triggers off; those of versions fire always."""
    function = cached("tests.replica", tables=[Counter], ttl=60)(Sum().read)
    assert function() == 1
    with on(other), transaction.atomic():
        run("SET LOCAL session_replication_role = replica")
        run(ADD, [10])
    assert function() == 11


@pytest.mark.parametrize("how", ["DISABLE TRIGGER USER", "ENABLE TRIGGER ops_version"])
def test_while_a_trigger_is_off_or_altered_values_are_computed(how: str, one: None) -> None:
    rows = Sum()
    function = cached("tests.off", tables=[Counter], ttl=60)(rows.read)
    assert function() == 1
    run(f"ALTER TABLE shelf_counter {how}")
    run("BEGIN; SET LOCAL session_replication_role = replica; UPDATE shelf_counter SET v = 5; COMMIT")
    assert [function(), function()] == [5, 5]
    assert rows.calls == 3
    triggers.install("default")
    assert (function(), function.answer().hit) == (5, True)


@pytest.mark.parametrize("how", ["TRUNCATE ops_tableversion", "DELETE FROM ops_tableversion"])
def test_where_versions_were_taken_away_no_value_of_before_is_taken_for_newer(how: str, one: None) -> None:
    function = cached("tests.away", tables=[Counter], ttl=60)(Sum().read)
    for _ in range(20):  # so that the sum of what comes after is smaller
        run("UPDATE shelf_counter SET v = v")
    assert (function(), function.answer().hit) == (1, True)
    run(how)
    run(ADD, [10])
    assert (function(), function.answer().hit) == (11, True)
