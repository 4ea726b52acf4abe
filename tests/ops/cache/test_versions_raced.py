"""Writers at the same time: they don't wait for each other, fail for no reason of ours, and share no version."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2.extensions import (
    ISOLATION_LEVEL_READ_COMMITTED,
    ISOLATION_LEVEL_REPEATABLE_READ,
    ISOLATION_LEVEL_SERIALIZABLE,
)

from ops.cache import versions
from ops.engine.session import Session
from ops.models import TableVersion
from tests.ops.cache.versioned import execute, moved_by, others, tables, version, write
from tests.ops.scratch import connected

pytestmark = pytest.mark.django_db(transaction=True)
LEVELS = (ISOLATION_LEVEL_READ_COMMITTED, ISOLATION_LEVEL_REPEATABLE_READ, ISOLATION_LEVEL_SERIALIZABLE)


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    with tables():
        execute("INSERT INTO v_thing SELECT i, i % 10, 0 FROM generate_series(0, 99) AS i")
        execute("INSERT INTO v_other SELECT i, 0 FROM generate_series(0, 99) AS i")
        yield


def stripes() -> list[int]:
    """Return the slots of a table's stripes."""
    return list(TableVersion.objects.filter(name="public.v_thing").order_by("slot").values_list("slot", flat=True))


@pytest.mark.parametrize("level", LEVELS)
def test_a_writer_does_not_wait_for_another_ones_commit(level: int) -> None:
    before = version()
    # More of them than there are stripes, all open at once, each with a row of its own.
    with others(20, level) as found:
        for number, one in enumerate(found):
            write(one, f"UPDATE v_thing SET v = 1 WHERE id = {number}")
        assert version() == before
        seen = [before]
        for one in found:
            one.commit()
            seen.append(version())
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("level", LEVELS)
def test_writers_of_two_tables_in_opposite_orders_do_not_deadlock(level: int) -> None:
    with others(2, level) as (one, two):
        # What they write is apart; only versions could have them meet.
        write(one, "UPDATE v_thing SET v = 1 WHERE id = 1")
        write(two, "UPDATE v_other SET v = 1 WHERE id = 2")
        write(one, "UPDATE v_other SET v = 1 WHERE id = 1")
        write(two, "UPDATE v_thing SET v = 1 WHERE id = 2")
        assert moved_by(one.commit)
        assert moved_by(two.commit)
        assert moved_by(lambda: (write(one, "DELETE FROM v_other"), one.commit()), "v_other")


@pytest.mark.parametrize("level", LEVELS)
def test_a_writer_under_a_snapshot_older_than_the_last_move_does_not_fail(level: int) -> None:
    with others(1, level) as (one,):
        write(one, "SELECT count(*) FROM v_other")
        # Every stripe that there is moves after the snapshot was taken.
        for _ in range(3):
            with others(17) as many:
                for number, other in enumerate(many):
                    write(other, f"UPDATE v_thing SET v = v + 1 WHERE id = {number}")
                for other in many:
                    other.commit()
        write(one, "UPDATE v_thing SET v = 1 WHERE id = 50")
        assert moved_by(one.commit)


def test_serializable_writers_of_different_rows_do_not_fail_for_the_version() -> None:
    # Large enough that the rows are found by the index, and their pages are apart.
    execute("INSERT INTO v_thing SELECT i, 1, 0 FROM generate_series(100, 20000) AS i")
    execute("VACUUM ANALYZE v_thing")
    with others(6, ISOLATION_LEVEL_SERIALIZABLE) as found:
        for round_ in range(5):
            for number, one in enumerate(found):
                write(one, f"UPDATE v_thing SET v = v + 1 WHERE id = {1 + number * 3000 + round_}")
            for one in found:
                assert moved_by(one.commit)


def test_a_serializable_transaction_reads_no_versions() -> None:
    with others(1, ISOLATION_LEVEL_SERIALIZABLE) as (one,), one.cursor() as cursor:
        cursor.execute(
            "SELECT kind, version, dirty FROM ops_versions(ARRAY['v_thing'::regclass::oid::text], '{}', '{}')"
        )
        assert cursor.fetchall() == [("server", None, True), ("table", 0, True)]
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE mode = 'SIReadLock' AND pid = pg_backend_pid() "
            "AND relation::regclass::text LIKE 'ops_tableversion%'"
        )
        assert cursor.fetchone() == (0,)


def test_the_stripes_that_were_added_are_merged_and_their_sum_stays() -> None:
    with others(40) as found:
        for number, one in enumerate(found):
            write(one, f"UPDATE v_thing SET v = 1 WHERE id = {number}")
        for one in found:
            one.commit()
    assert len(stripes()) > 16
    before = version()
    with others(2) as (holder, merger):
        # One of them is held by somebody, so it is left for later.
        write(holder, "SELECT 1 FROM ops_tableversion WHERE slot = (SELECT max(slot) FROM ops_tableversion) FOR UPDATE")
        write(merger, "SELECT ops_merge_stripes(NULL)")
        assert version() == before
        merger.commit()
        assert version() == before
        assert [slot for slot in stripes() if slot >= 1000] == stripes()[16:]
        assert len(stripes()) == 18
    Session("default").execute("ops/find_merged.sql")
    assert (version(), len(stripes())) == (before, 17)


def write_a_lot(number: int, level: int, times: int, troubles: list[Exception]) -> None:
    """Write to a row of one's own, over and over; roll every fourth back."""
    try:
        with connected(str(connection.settings_dict["NAME"])) as opened:
            opened.set_session(isolation_level=level, autocommit=False)
            for time in range(times):
                write(opened, f"UPDATE v_thing SET v = v + 1 WHERE id = {number}")
                if time % 3 == 0:
                    write(opened, f"SAVEPOINT a; DELETE FROM v_thing WHERE id = {number}; ROLLBACK TO a")
                (opened.rollback if time % 4 == 3 else opened.commit)()
    except psycopg2.Error as exc:
        troubles.append(exc)


def test_no_two_states_that_were_committed_share_a_version() -> None:
    troubles: list[Exception] = []
    writers = [
        # SERIALIZABLE would fail for the table's own small pages.
        threading.Thread(target=write_a_lot, args=(number, LEVELS[number % 2], 120, troubles))
        for number in range(20)
    ]
    seen: dict[int, int] = {}
    for one in writers:
        one.start()
    with others(1, ISOLATION_LEVEL_REPEATABLE_READ) as (reader,), reader.cursor() as cursor:
        alive = True
        while alive:
            alive = any(one.is_alive() for one in writers)
            # Both as of one moment: so many writes are committed, and that is the version.
            cursor.execute(
                "SELECT sum(version) FROM ops_versions(ARRAY['v_thing'::regclass::oid::text], '{}', '{}') "
                "WHERE kind = 'table'"
            )
            (number,) = cursor.fetchone()
            cursor.execute("SELECT sum(v) FROM v_thing")
            (state,) = cursor.fetchone()
            reader.commit()
            assert seen.setdefault(int(number), state) == state
    for one in writers:
        one.join()
    assert troubles == []
    # A later state has a greater version, and each state has one.
    assert [seen[number] for number in sorted(seen)] == sorted(set(seen.values()))
    assert max(seen.values()) == 20 * 90
    assert len(seen) > 20


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["write", "write", "savepoint", "back", "commit", "rollback", "replace"])
    ),
    max_size=25,
)


class Model:
    """What one connection has written since its transaction began, and since each of its savepoints."""

    def __init__(self) -> None:
        self.stack: list[bool] = [False]

    def step(self, what: str) -> bool:
        """Do a step; return whether it made a write visible to all."""
        if what in ("write", "replace"):
            self.stack[-1] = True
        elif what == "savepoint":
            self.stack.append(False)
        elif what == "back":
            self.stack[-1] = False
        else:
            shown = what == "commit" and any(self.stack)
            self.stack = [False]
            return shown
        return False


def carry_out(opened: Any, what: str, number: int, depth: int) -> None:
    """Do a step on a connection; each writes rows of its own."""
    if what in ("commit", "rollback"):
        getattr(opened, what)()
        return
    statement = {
        "write": f"INSERT INTO v_other SELECT 1000 * {number + 1} + count(*), 0 FROM v_other ON CONFLICT DO NOTHING;"
        f"UPDATE v_thing SET v = v + 1 WHERE id = {number}",
        "replace": f"DELETE FROM v_thing WHERE id = {90 + number}; INSERT INTO v_thing VALUES ({90 + number}, 1, 0)",
        "savepoint": f"SAVEPOINT s{depth}",
        "back": f"ROLLBACK TO s{depth - 1}" if depth > 1 else "SELECT 1",
    }[what]
    write(opened, statement)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, levels=st.lists(st.sampled_from(LEVELS[:2]), min_size=3, max_size=3))
def test_whatever_happens_a_version_moves_with_each_commit_of_a_write_and_only_then(
    steps: list[tuple[int, str]], levels: list[int]
) -> None:
    with others(3) as found:
        models = [Model() for _ in found]
        for one, level in zip(found, levels, strict=True):
            one.set_session(isolation_level=level)
        last = version()
        for who, what in steps:
            model = models[who]
            if what == "back" and len(model.stack) == 1:
                continue
            carry_out(found[who], what, who, len(model.stack))
            shown = model.step(what)
            now = version()
            assert (now > last) if shown else (now == last)
            last = now
        assert versions.read(["v_thing"]).dirty is False
