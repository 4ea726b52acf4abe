"""Rows that are in flight when a run begins are the run's: whom it waits for, whom it does not, and for how long."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from ops.engine import inflight
from ops.engine import run as engine
from ops.engine.lifecycle import Options, Stopped
from ops.engine.registry import find
from ops.models import Run, RunEvent
from tests.ops.shop import other_connection
from tests.shelf.jobs import LiftCounter
from tests.shelf.kinds import KINDS

pytestmark = pytest.mark.django_db(transaction=True)

INTEGER = KINDS["integer"]
PARTITIONED = KINDS["partitioned"]


@pytest.fixture
def writer() -> Iterator[Any]:
    """Give a second connection in a transaction of its own."""
    with other_connection() as other:
        other.autocommit = False
        yield other


@pytest.fixture(autouse=True)
def _told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflight, "TOLD_AFTER", 0)


def _do(writer: Any, statement: str) -> None:
    with writer.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("window", [None, 3])
def test_rows_of_a_writer_that_commits_while_the_run_waits_are_written(writer: Any, window: int | None) -> None:
    INTEGER.insert([((key,), 0) for key in range(10, 100, 10)])
    # One below the last key that can be seen, one above it.
    INTEGER.insert([((55,), 1), ((1_000,), 2)], writer)
    notes: list[str] = []

    def let_go(text: str) -> None:
        notes.append(text)
        writer.commit()

    run = INTEGER.apply(window=window, note=let_go)
    assert len(notes) == 1
    assert f"Waiting for process {writer.info.backend_pid} (user " in notes[0]
    assert RunEvent.objects.get(run=run, what="waiting").detail == notes[0]
    assert set(INTEGER.values().values()) == {7}
    assert {key: old for key, old, _ in INTEGER.written(run)}.items() >= {((55,), "1"), ((1_000,), "2")}
    assert (run.high_water, run.changed) == (["1000"], 11)


def test_rows_that_come_while_somebody_reads_the_plan_are_the_next_runs(writer: Any) -> None:
    INTEGER.insert([((key,), 0) for key in range(10, 100, 10)])

    def agree(plan: Any) -> bool:
        INTEGER.insert([((1_000,), 2)], writer)
        writer.commit()
        return True

    run = INTEGER.apply(confirm=agree)
    assert {key: value for key, value in INTEGER.values().items() if value != 7} == {(1_000,): 2}
    assert (run.changed, run.events.filter(what="left above").count()) == (9, 1)


def test_a_run_with_nothing_to_do_has_seen_the_rows_that_were_in_flight(writer: Any) -> None:
    INTEGER.insert([((10,), 7)])
    INTEGER.insert([((5,), 1)], writer)
    run = INTEGER.apply(note=lambda text: writer.commit())
    assert (INTEGER.values(), run.changed) == ({(5,): 7, (10,): 7}, 1)


def test_an_edit_in_flight_is_written_over_from_what_it_became(writer: Any) -> None:
    INTEGER.insert([((key,), 0) for key in range(10, 100, 10)])
    INTEGER.insert([((5,), 7)])
    _do(writer, "UPDATE shelf_counter SET v = 3 WHERE id IN (5, 20)")
    run = INTEGER.apply(note=lambda text: writer.commit())
    assert set(INTEGER.values().values()) == {7}
    written = {key[0]: old for key, old, _ in INTEGER.written(run)}
    assert (written[5], written[20], len(written)) == ("3", "3", 10)


def test_a_writer_that_rolls_back_leaves_nothing(writer: Any) -> None:
    INTEGER.insert([((10,), 0)])
    INTEGER.insert([((5,), 1)], writer)
    run = INTEGER.apply(note=lambda text: writer.rollback())
    assert (INTEGER.values(), run.changed) == ({(10,): 7}, 1)


def test_one_that_stays_open_stops_the_run_resumably_and_is_named(writer: Any) -> None:
    INTEGER.insert([((10,), 0)])
    INTEGER.insert([((5,), 1)], writer)
    pid = writer.info.backend_pid
    with pytest.raises(
        Stopped, match=rf"wrote nothing yet: it waited .* for process {pid} .*INSERT INTO .*runs resume"
    ):
        INTEGER.apply(writer_wait=200)
    stopped = Run.objects.get()
    assert (stopped.state, stopped.changed, stopped.cursor) == ("stopped", 0, None)
    assert INTEGER.values() == {(10,): 0}
    writer.commit()
    resumed, _ = engine.resume(find("shelf.lift_counter"), stopped, Options())
    assert (resumed.state, resumed.changed) == ("done", 2)
    assert INTEGER.values() == {(5,): 7, (10,): 7}


def test_asked_to_stop_it_does_not_wait_on(writer: Any) -> None:
    INTEGER.insert([((10,), 0)])
    INTEGER.insert([((5,), 1)], writer)
    options = Options()

    def stop(text: str) -> None:
        options.stop.set()

    object.__setattr__(options, "note", stop)
    with pytest.raises(Stopped, match="runs resume"):
        engine.apply(find("shelf.lift_counter"), {}, options)
    assert (Run.objects.get().state, INTEGER.values()) == ("stopped", {(10,): 0})


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO shelf_ticket VALUES (gen_random_uuid(), 1)",
        "SELECT * FROM shelf_counter",
        "SELECT * FROM shelf_counter WHERE id = 1 FOR SHARE",
        "INSERT INTO shelf_parcel (label, counter_id) VALUES ('', 10)",
        "CREATE TEMPORARY TABLE shelf_counter (id bigint); INSERT INTO pg_temp.shelf_counter VALUES (1)",
    ],
    ids=["another table", "reads", "locks a row", "refers to a row", "a temporary table of that name"],
)
def test_who_does_not_write_to_the_table_is_not_waited_for(writer: Any, statement: str) -> None:
    INTEGER.insert([((10,), 0)])
    _do(writer, statement)
    run = INTEGER.apply(writer_wait=0)
    assert (run.state, run.changed, RunEvent.objects.filter(what="waiting").count()) == ("done", 1, 0)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO shelf_reading VALUES ('2026-02-01', 1000, 1)",
        "INSERT INTO shelf_reading_late VALUES ('2026-02-01', 1000, 1)",
    ],
    ids=["by the table", "by its partition"],
)
def test_a_writer_of_a_partition_is_waited_for(writer: Any, statement: str) -> None:
    PARTITIONED.fill(range(10))
    _do(writer, statement)
    with pytest.raises(Stopped, match=f"process {writer.info.backend_pid} "):
        PARTITIONED.apply(writer_wait=100)
    run = PARTITIONED.apply(note=lambda text: writer.commit())
    assert set(PARTITIONED.values().values()) == {7}
    assert "1000" in run.high_water


def test_a_prepared_transaction_is_waited_for_where_the_server_has_any() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_prepared_transactions")
        if cursor.fetchone()[0] == "0":
            pytest.skip("max_prepared_transactions is 0")
    INTEGER.insert([((10,), 0)])
    with other_connection() as other:
        other.autocommit = False
        INTEGER.insert([((5,), 1)], other)
        with other.cursor() as cursor:
            cursor.execute("PREPARE TRANSACTION 'shelf'")
        other.autocommit = True
        try:
            with pytest.raises(Stopped, match="for a prepared transaction"):
                INTEGER.apply(writer_wait=100)
        finally:
            with other.cursor() as cursor:
                cursor.execute("COMMIT PREPARED 'shelf'")
    assert INTEGER.apply().changed == 2


def test_a_job_may_say_that_it_waits_for_nobody(writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiftCounter, "waits_for_writers", False)
    INTEGER.insert([((10,), 0)])
    INTEGER.insert([((5,), 1), ((20,), 1)], writer)
    run = INTEGER.apply(writer_wait=0)
    writer.commit()
    assert (run.changed, INTEGER.values()) == (1, {(5,): 1, (10,): 7, (20,): 1})


def test_one_that_begins_to_write_later_is_not_waited_for() -> None:
    INTEGER.insert([((key,), 0) for key in range(10, 1_000, 10)])
    with other_connection() as other:
        other.autocommit = False

        def begin(done: int, total: int) -> None:
            if done == 10:
                INTEGER.insert([((5,), 1), ((2_000,), 1)], other)

        run = INTEGER.apply(batch_size=10, writer_wait=0, progress=begin)
        other.commit()
    assert (run.state, run.changed) == ("done", 99)
    assert INTEGER.apply().changed == 2
