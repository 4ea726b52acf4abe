"""Many writers of the same rows: every addition counts once, none waits in a circle, none fails.

The writers are 16 processes. From PostgreSQL 18 on a statement returns what was there before; the way for older ones
reads as of one moment, and locks where that fails. Both are tried on any server: the processes of a test take the
older way where their environment says so.
"""

import json
import subprocess
import sys
import threading
import time
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from ops.engine.lifecycle import Options, Stopped
from ops.load import Loaded, single, upsert, upsert_one, writing
from ops.models import Changeset, Run, RunEvent
from tests.ops.shop import ROOT, command, environment, other_connection
from tests.shelf.models import Hit

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 16
COUNT: dict[str, Any] = {
    "expressions": {"count": "target.count + excluded.count", "last_at": "clock_timestamp()"},
}

# Imports and compiles once, then forks, with no connection open; all begin as soon as the last is there.
SCRIPT = """
import gc, json, os, random, sys, traceback
import django

django.setup()

from ops.engine.lifecycle import Options
from django.db import connections, transaction
from ops.load import api, single, writing
from tests.shelf.models import Hit

way, writers, keys, rows = sys.argv[1], *map(int, sys.argv[2:])
COUNT = {"expressions": {"count": "target.count + excluded.count", "last_at": "clock_timestamp()"}}
locked = 0
if os.environ.get("OLDER"):
    writing.RETURNS_OLD = 10**9
    single._Row.returns_old = False
    statement = writing.Merging.insert_and_lock

    def counted(self):
        global locked
        locked += 1
        return statement(self)

    writing.Merging.insert_and_lock = counted


def one_by_one(given):
    states = [api_one(Hit, row, **COUNT)[0] for row in given]
    return {state: states.count(state) for state in set(states)}


def by_loads(given):
    found = {}
    for half in (given[::2], given[1::2]):
        loaded = api.upsert(Hit, half, **COUNT, options=Options(batch_size=random.randint(5, 25)))
        for name in ("inserted", "updated", "merged", "unchanged", "rejected"):
            found[name] = found.get(name, 0) + getattr(loaded, name)
    return found


api_one = single.upsert_one
with transaction.atomic():
    api_one(Hit, {"digest": "", "count": 1}, **COUNT)
    transaction.set_rollback(True)
connections.close_all()

def work(number, into):
    random.seed(f"{way} {number}")
    given = [{"digest": f"key {random.randrange(keys):03}", "count": random.randint(1, 9)} for _ in range(rows)]
    found = (one_by_one if way == "one" else by_loads)(given)
    sums = {}
    for row in given:
        sums[row["digest"]] = sums.get(row["digest"], 0) + row["count"]
    os.write(into, json.dumps({"found": found, "sums": sums, "locked": locked}).encode())
    # The server ends its process then, and tells its statistics.
    connections.close_all()


gate, opened = os.pipe()
children = []
gc.freeze()
for number in range(writers):
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.close(opened)
        os.read(gate, 1)
        try:
            work(number, into)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(into)
    children.append((child, out))
os.close(opened)
said = []
for child, out in children:
    with os.fdopen(out, "rb") as pipe:
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    said.append({"status": status, **(json.loads(text) if text else {})})
print(json.dumps(said))
"""

OLDER = pytest.mark.parametrize("older", [False, True], ids=["", "older"])


def ask(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def deadlocks() -> int:
    ask("SELECT pg_stat_force_next_flush()")
    return int(ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0])


def write(way: str, *, older: bool, keys: int, rows: int) -> tuple[dict[str, int], Tally[str], int]:
    """Let 16 processes write; return sums by key, the number of rows by outcome, and how often rows were locked.

    No process may fail, and no two may have waited for each other.
    """
    before = deadlocks()
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, way, str(WRITERS), str(keys), str(rows)],
        env=environment(OLDER="1" if older else "", PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert not process.stderr, process.stderr
    assert process.returncode == 0
    said = json.loads(process.stdout)
    assert [one["status"] for one in said] == [0] * WRITERS
    sums: Tally[str] = Tally()
    found: Tally[str] = Tally()
    for one in said:
        sums.update(one["sums"])
        found.update(one["found"])
    assert deadlocks() == before
    return dict(sums), found, sum(one["locked"] for one in said)


def changes() -> dict[str, list[tuple[str, int | None, int]]]:
    """Return by key each change of its count that a changeset has: kind, before, after."""
    found = defaultdict(list)
    for one in Changeset.objects.select_related("run"):
        place = one.run.columns.index("count")
        span = slice(place * one.rows, (place + 1) * one.rows)
        before = one.before[span] if one.kind == "update" else [None] * one.rows
        for key, old, new in zip(one.keys, before, one.after[span], strict=True):
            found[key].append((one.kind, old and int(old), int(new)))
    return found


def assert_chains(sums: dict[str, int]) -> None:
    """Assert that of each row there is one insertion, and that each change begins where the one before it ended."""
    found = changes()
    assert found.keys() == sums.keys()
    for key, changed in found.items():
        # Only additions: their order is that of the sums.
        (kind, _, last), *others = sorted(changed, key=lambda one: one[2])
        assert kind == "insert", key
        for kind, before, after in others:
            assert (kind, before) == ("update", last), key
            last = after
        assert last == sums[key], key


@OLDER
def test_single_rows_of_16_processes(older: bool) -> None:
    sums, found, _ = write("one", older=older, keys=12, rows=40)
    assert dict(Hit.objects.values_list("digest", "count")) == sums
    # Each row was inserted by one of them, whatever the others saw at that moment.
    assert found == {"inserted": 12, "updated": WRITERS * 40 - 12}
    assert Run.objects.count() == 0


@OLDER
def test_loads_of_16_processes(older: bool) -> None:
    sums, found, locked = write("load", older=older, keys=120, rows=300)
    assert dict(Hit.objects.values_list("digest", "count")) == sums
    assert len(sums) == 120
    assert found["inserted"] == 120
    assert (found["unchanged"], found["rejected"]) == (0, 0)
    assert sum(found.values()) == WRITERS * 300
    runs = Run.objects.all()
    assert Tally(runs.values_list("state", flat=True)) == {"done": 2 * WRITERS}
    assert sum(runs.values_list("changed", flat=True)) == found["inserted"] + found["updated"]
    assert_chains(sums)
    assert not RunEvent.objects.filter(detail__contains="another order").exists()
    if older:
        assert locked > 0


# Two connections by hand


@pytest.fixture(params=[False, True], ids=["", "older"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Take the way of each version in turn; true is that of older ones."""
    if request.param:
        monkeypatch.setattr(writing, "RETURNS_OLD", 10**9)
        monkeypatch.setattr(single._Row, "returns_old", False)
    # Statements are kept, and have been compiled for the other way.
    single._compiled.cache_clear()
    yield bool(request.param)
    single._compiled.cache_clear()


@contextmanager
def held(statement: str) -> Iterator[Any]:
    """Execute a statement in another session whose transaction stays open, and give its connection."""
    with other_connection() as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute(statement)
        yield other


@contextmanager
def ended_soon(other: Any, *, commit: bool) -> Iterator[None]:
    """End another session's transaction as soon as somebody has been waiting for it for a while."""
    waited = threading.Event()

    def end() -> None:
        with other_connection() as third, third.cursor() as cursor:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0]:
                    waited.set()
                    break
                time.sleep(0.01)
        other.commit() if commit else other.rollback()

    thread = threading.Thread(target=end)
    thread.start()
    yield
    thread.join()
    assert waited.is_set()


def hits() -> list[tuple[str, int]]:
    return list(Hit.objects.order_by("digest").values_list("digest", "count"))


def counts(loaded: Loaded) -> tuple[int, ...]:
    return (loaded.inserted, loaded.updated, loaded.unchanged, loaded.merged, loaded.rejected)


def rows(keys: str) -> list[dict[str, Any]]:
    return [{"digest": key, "count": 1} for key in keys]


def test_a_locked_row_stops_a_load_resumably(way: bool) -> None:
    Hit.objects.bulk_create([Hit(digest=key, count=10) for key in "bcd"])
    small = Options(batch_size=2, lock_timeout=100, attempts=2)
    with held("UPDATE shelf_hit SET label = 'mine', count = count + 100 WHERE digest = 'd'") as other:
        blocked = f"Rows of the batch are locked against ops.upsert by process {other.get_backend_pid()} "
        with pytest.raises(Stopped, match=f"{blocked}.*UPDATE shelf_hit") as caught:
            upsert(Hit, rows("abcdef"), **COUNT, options=small)
        run = Run.objects.get()
        assert f"manage.py runs resume {run.pk}" in str(caught.value)
        assert (run.state, run.changed) == ("stopped", 3)
        # Having met a lock, batches are halved, so that all before the locked row is written.
        assert hits() == [("a", 1), ("b", 11), ("c", 11), ("d", 10)]
        said = command("runs", "resume", str(run.pk), "--no-input")
        assert (said.code, blocked in said.error) == (4, True), said
        assert hits() == [("a", 1), ("b", 11), ("c", 11), ("d", 10)]
        other.commit()
    assert command("runs", "resume", str(run.pk), "--no-input").code == 0
    assert hits() == [("a", 1), ("b", 11), ("c", 11), ("d", 111), ("e", 1), ("f", 1)]
    run.refresh_from_db()
    assert (run.state, run.changed) == ("done", 6)
    assert (run.result["inserted"], run.result["updated"]) == (3, 3)
    found = {key: changed for key, (changed,) in changes().items()}
    assert found["d"] == ("update", 110, 111)
    assert found["c"] == ("update", 10, 11)
    assert found["e"] == ("insert", None, 1)


@pytest.mark.parametrize("commit", [False, True], ids=["rolled back", "committed"])
def test_a_row_that_another_is_changing(way: bool, commit: bool) -> None:
    Hit.objects.bulk_create([Hit(digest=key, count=10) for key in "abc"])
    with (
        held("UPDATE shelf_hit SET count = count + 100 WHERE digest = 'b'") as other,
        ended_soon(other, commit=commit),
    ):
        loaded = upsert(Hit, rows("abcd"), **COUNT)
    assert counts(loaded) == (1, 3, 0, 0, 0)
    found = 110 if commit else 10
    assert hits() == [("a", 11), ("b", found + 1), ("c", 11), ("d", 1)]
    assert changes()["b"] == [("update", found, found + 1)]


@pytest.mark.parametrize("commit", [False, True], ids=["rolled back", "committed"])
def test_a_row_that_another_is_inserting(way: bool, commit: bool) -> None:
    Hit.objects.create(digest="a", count=10)
    with held("INSERT INTO shelf_hit (digest, count) VALUES ('b', 100)") as other, ended_soon(other, commit=commit):
        loaded = upsert(Hit, rows("abc"), **COUNT)
    assert counts(loaded) == ((1, 2, 0, 0, 0) if commit else (2, 1, 0, 0, 0))
    assert hits() == [("a", 11), ("b", 101 if commit else 1), ("c", 1)]
    assert changes()["b"] == [("update", 100, 101) if commit else ("insert", None, 1)]


def test_a_row_that_another_is_deleting(way: bool) -> None:
    Hit.objects.bulk_create([Hit(digest=key, count=10) for key in "ab"])
    with held("DELETE FROM shelf_hit WHERE digest = 'b'") as other, ended_soon(other, commit=True):
        loaded = upsert(Hit, rows("abc"), **COUNT)
    assert counts(loaded) == (2, 1, 0, 0, 0)
    assert hits() == [("a", 11), ("b", 1), ("c", 1)]
    assert changes()["b"] == [("insert", None, 1)]


def test_an_equal_row_that_another_is_inserting(way: bool) -> None:
    """What differs in the plan may be equal when it comes to be written."""
    with held("INSERT INTO shelf_hit (digest, count) VALUES ('b', 1)") as other, ended_soon(other, commit=True):
        loaded = upsert(Hit, rows("abc"))
    assert counts(loaded) == (2, 0, 1, 0, 0)
    assert hits() == [("a", 1), ("b", 1), ("c", 1)]
    assert changes().keys() == {"a", "c"}


@pytest.mark.parametrize("commit", [False, True], ids=["rolled back", "committed"])
def test_a_single_row_waits_for_another(way: bool, commit: bool) -> None:
    statement = "INSERT INTO shelf_hit (digest, count) VALUES ('b', 100)"
    with held(statement) as other, ended_soon(other, commit=commit):
        assert upsert_one(Hit, {"digest": "b", "count": 1}, **COUNT) == ("updated" if commit else "inserted", "b")
    assert hits() == [("b", 101 if commit else 1)]
    # One that equals it is not seen by the statement that has waited for it, but by the second look.
    with held("INSERT INTO shelf_hit (digest, count) VALUES ('c', 1)") as other, ended_soon(other, commit=True):
        assert upsert_one(Hit, {"digest": "c", "count": 1}) == ("unchanged", "c")
    assert hits()[1:] == [("c", 1)]
