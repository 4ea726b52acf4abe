"""Writes and refreshes at the same time, by several connections: every answer is the table's, and nobody waits."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from ops.engine.plan import Refused
from ops.engine.session import Session
from ops.reports import Sum, rollup_compiler
from ops.reports import registry as reports
from ops.reports.rollup_kept import keep
from ops.reports.rollup_verifying import verify
from tests.ops import shop
from tests.ops.reports import rolled
from tests.ops.reports.rolled import Plainest, another, ask, assert_same, both, execute, refresh, registered, touched

pytestmark = pytest.mark.django_db(transaction=True)

TODAY = datetime.fromisoformat("2026-05-20T00:00+09:00")
NOON = TODAY + timedelta(hours=12)
INSERT = "INSERT INTO rolled_event (at, size) VALUES (%s, 1)"


@pytest.fixture(autouse=True)
def _events(transactional_db: None) -> Iterator[None]:
    rolled.make()
    try:
        with registered(Plainest):
            rolled.fill(40)
            refresh("plainest", rebuild=True)
            yield
    finally:
        rolled.remove()


def count() -> int:
    """Return how many events there are in 30 days, by the rollup, once the table says the same."""
    return int(assert_same(Plainest()).totals["last_30_days"][0]["values"]["count"])


def test_what_another_has_not_committed_is_not_counted_and_then_is() -> None:
    before = count()
    with another() as writer:
        execute(writer, INSERT, [NOON])
        assert (count(), touched("plainest")) == (before, [])
        refresh("plainest")
        assert count() == before
        writer.commit()
        assert (count(), touched("plainest")) == (before + 1, [TODAY])
    refresh("plainest")
    assert (count(), touched("plainest")) == (before + 1, [])


def test_a_marker_that_a_write_holds_on_to_is_left() -> None:
    before = count()
    ask(INSERT, NOON)
    with another() as writer:
        execute(writer, INSERT, [NOON])  # it finds the marker of the first, and writes none
        assert ask("SELECT count(*) FROM ops_rolluptouched WHERE report = 'plainest'") == [(1,)]
        refresh("plainest")
        assert (count(), touched("plainest")) == (before + 1, [TODAY])
        writer.commit()
        assert (count(), touched("plainest")) == (before + 2, [TODAY])
    refresh("plainest")
    assert (count(), touched("plainest")) == (before + 2, [])


def test_a_write_that_is_rolled_back_lets_go() -> None:
    before = count()
    ask(INSERT, NOON)
    with another() as writer:
        execute(writer, INSERT, [NOON])
        writer.rollback()
        refresh("plainest")
    assert (count(), touched("plainest")) == (before + 1, [])


def test_a_write_during_a_refresh_waits_for_nothing_and_is_not_lost() -> None:
    """The refresh has taken its markers and its moment; then somebody writes and commits."""
    before = count()
    ask(INSERT, NOON)
    kept = keep(Plainest(), "default")
    values = rollup_compiler.values(kept)
    with another() as refresher:
        execute(refresher, "SET lock_timeout = '2s'")
        ids = execute(
            refresher,
            "SELECT id FROM ops_rolluptouched WHERE report = 'plainest' FOR UPDATE SKIP LOCKED",
        )
        # Had it computed in the same statement, or as of a moment before that, the next one could be lost.
        ask("SET lock_timeout = '1ms'")
        try:
            ask(INSERT, NOON)
        finally:
            ask("RESET lock_timeout")
        taken = rollup_compiler.take(kept).as_string(refresher)
        execute(refresher, taken, {**values, "ids": [row[0] for row in ids]})
        ask(INSERT, NOON)
        assert count() == before + 3
        refresher.commit()
    assert (count(), touched("plainest")) == (before + 3, [TODAY])
    refresh("plainest")
    assert (count(), touched("plainest")) == (before + 3, [])


def test_a_write_between_the_moment_of_a_refresh_and_its_commit() -> None:
    """The statement that computes is held in its middle; what is committed then is not in its moment."""
    before = count()
    ask(INSERT, NOON)
    ask(
        "CREATE FUNCTION rolled_gate() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END$$"
    )
    ask("CREATE TRIGGER rolled_gate BEFORE INSERT ON ops_rolluprow FOR EACH ROW EXECUTE FUNCTION rolled_gate()")
    try:
        with another() as gate:
            execute(gate, "SELECT pg_advisory_lock(4711)")
            with Threads(lambda: refresh("plainest")):
                until(lambda: ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
                ask(INSERT, NOON)
                ask(INSERT, NOON - timedelta(days=2))
                assert count() == before + 3
                execute(gate, "SELECT pg_advisory_unlock(4711)")
        assert (count(), touched("plainest")) == (before + 3, [TODAY - timedelta(days=2), TODAY])
    finally:
        ask("DROP FUNCTION rolled_gate CASCADE")
    refresh("plainest")
    assert (count(), touched("plainest")) == (before + 3, [])


def test_a_transaction_that_reads_as_of_its_beginning_writes_its_own_marker() -> None:
    before = count()
    ask(INSERT, NOON)
    with another() as writer:
        execute(writer, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert execute(writer, "SELECT count(*) FROM ops_rolluptouched WHERE report = 'plainest'") == [(1,)]
        refresh("plainest")  # takes the marker that the other still sees
        execute(writer, INSERT, [NOON])
        writer.commit()
    assert (count(), touched("plainest")) == (before + 2, [TODAY])


def test_writers_that_cross_each_other_do_not_deadlock() -> None:
    before = count()
    with another() as first, another() as second:
        for writer in (first, second):
            execute(writer, "SET lock_timeout = '2s'")
        execute(first, INSERT, [NOON])
        execute(second, INSERT, [NOON - timedelta(days=1)])
        execute(first, INSERT, [NOON - timedelta(days=1)])
        execute(second, INSERT, [NOON])
        refresh("plainest")
        first.commit()
        second.commit()
    assert count() == before + 4


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_refresh_reads_what_is_committed_whatever_its_connection_is_set_to(isolation: str) -> None:
    before = count()
    ask(INSERT, NOON)
    ask(f"SET default_transaction_isolation = '{isolation}'")
    try:
        refresh("plainest")
        assert (count(), touched("plainest")) == (before + 1, [])
        ask(INSERT, NOON)
        with transaction.atomic(), pytest.raises(Refused, match=f"in a transaction that is {isolation}, for it would"):
            refresh("plainest")
    finally:
        ask("RESET default_transaction_isolation")
    assert (count(), touched("plainest")) == (before + 2, [TODAY])


def test_two_refreshes_a_rebuild_and_writers_at_once() -> None:
    stop = threading.Event()
    wrote = [0, 0]
    told: set[str] = set()

    def write(number: int) -> None:
        at = NOON - timedelta(days=number)
        while not stop.is_set():
            with transaction.atomic():
                ask(INSERT, at)
                ask("UPDATE rolled_event SET at = at - interval '1 day' WHERE id = (SELECT max(id) FROM rolled_event)")
                ask("DELETE FROM rolled_event WHERE id = (SELECT min(id) FROM rolled_event WHERE size > 1)")
                if wrote[number] % 5 == 4:
                    transaction.set_rollback(True)
            wrote[number] += 1

    def again(**more: Any) -> Callable[[], None]:
        def work() -> None:
            while not stop.is_set():
                try:
                    refresh(**more)
                except Refused as exc:
                    told.add(str(exc))

        return work

    works = [lambda: write(0), lambda: write(1), again(), again(report="plainest")]
    with Threads(*works):
        until_at = time.monotonic() + 4
        looked = used = 0
        while time.monotonic() < until_at:
            # Both in one moment: between two statements somebody may write.
            with transaction.atomic():
                ask("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                ours, theirs = both(Plainest())
            assert repr(ours.totals) == repr(theirs.totals)
            looked += 1
            used += ours.source == "rollup by day"
            if looked == 20:
                refresh_again()
        stop.set()
    assert min(wrote) > 20
    assert used > 20
    assert [one for one in told if "is being carried out by" not in one and "is not built yet" not in one] == []
    refresh("plainest")
    assert touched("plainest") == []
    count()
    found = verify(reports.find("plainest"), "default")
    assert (found.differing, found.touched) == (0, 0)


def test_a_rollup_that_can_t_be_computed_keeps_no_other_from_it() -> None:
    class Broken(Plainest):
        name = "broken"
        measures = {"odd": Sum("1000 / t.size")}

    class Gone(Plainest):
        name = "gone"
        source: Any = "rolled_gone"

    ask("DELETE FROM rolled_event WHERE size = 0")
    ask("CREATE TABLE rolled_gone (LIKE rolled_event INCLUDING ALL)")
    with registered(Broken, Gone, Plainest):
        for name in ("broken", "gone"):
            refresh(name, rebuild=True)
        ask("INSERT INTO rolled_event (at, size) VALUES (%s, 0)", NOON)
        ask("DROP TABLE rolled_gone CASCADE")
        said = shop.command("rollup", "refresh", "--no-input")
        assert (said.code, touched("plainest"), touched("broken")) == (1, [], [TODAY])
        assert "but not for 'broken', and 1 more: Refreshing rollup 'broken': division by zero" in said.error
        listed = json.loads(shop.command("rollup", "list", "--json").out)["rollups"]
        listed = [one for one in listed if one["declared"]]
        assert [(one["report"], one["used"]) for one in listed] == [
            ("broken", True),
            ("gone", False),
            ("plainest", True),
        ]
        assert "there is no table or view" in listed[1]["reason"]
        # A bucket that is not touched, in which a row can't be computed.
        ask("DELETE FROM ops_rolluptouched")
        said = shop.command("rollup", "verify")
        assert said.code == 1
        assert "plainest: 13 rows compared, 0 differ." in said.out
        assert "broken: not verified: Verifying rollup 'broken': division by zero" in said.out
        assert said.error.startswith(
            "Rollup 'broken' could not be verified: Verifying rollup 'broken': division by zero"
        )


def refresh_again() -> None:
    """Forget all that is kept, as a rebuild does, while others refresh."""
    from ops.reports import rollup_building

    session = Session("default")
    with session.transaction(lock_timeout=5_000, statement_timeout=0, committed=True):
        rollup_building.begin(session, keep(Plainest(), "default"))
    ask("UPDATE ops_rollup SET built_at = now() WHERE report = 'plainest'")


class Threads:
    """Do some works in threads of their own, each with a connection of its own; wait for their ends, and raise."""

    def __init__(self, *works: Callable[[], Any]) -> None:
        self.failed: list[BaseException] = []
        self.threads = [threading.Thread(target=self._do, args=(work,)) for work in works]

    def _do(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as exc:
            self.failed.append(exc)
        finally:
            connection.close()

    def __enter__(self) -> None:
        for thread in self.threads:
            thread.start()

    def __exit__(self, *about: object) -> None:
        for thread in self.threads:
            thread.join(60)
        if self.failed and about[0] is None:
            raise self.failed[0]


def until(found: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)
