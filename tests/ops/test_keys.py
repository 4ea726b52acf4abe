"""Every kind of key: a run amid inserts and deletes equals one clean pass, and can be read back and taken back."""

import random
import threading
import time
from datetime import date
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.engine import changeset
from ops.engine.jobs import BrokenJob, Reconcile
from ops.engine.lifecycle import Options
from ops.models import Run
from tests.ops.shop import Crash, crashing, other_connection
from tests.shelf.kinds import KINDS, Key, Kind
from tests.shelf.models import Counter, Rate, Reading

pytestmark = pytest.mark.django_db(transaction=True)

each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


class Meddler:
    """Inserts and deletes rows on a second connection after each batch."""

    def __init__(self, kind: Kind, other: Any, seed: int) -> None:
        self.kind = kind
        self.other = other
        self.chance = random.Random(seed)
        self.left = sorted(kind.values(), key=str)
        self.inserted: dict[Key, int] = {}
        self.above: dict[Key, int] = {}
        self.deleted: set[Key] = set()

    def __call__(self, done: int, total: int) -> None:
        for _ in range(3):
            key = self.left.pop(self.chance.randrange(len(self.left)))
            self.kind.delete(key, self.other)
            self.deleted.add(key)
        for _ in range(3):
            number = len(self.inserted)
            self.inserted[self.kind.between(number)] = number % 9
            self.kind.insert([(self.kind.between(number), number % 9)], self.other)
        self.above[self.kind.above(len(self.above))] = 1
        self.kind.insert([(self.kind.above(len(self.above) - 1), 1)], self.other)


@each_kind
def test_a_run_amid_inserts_and_deletes_equals_one_clean_pass(kind: Kind) -> None:
    kind.fill(range(600))
    before = kind.values()
    notes: list[str] = []
    with other_connection() as other:
        meddler = Meddler(kind, other, seed=3)
        run = kind.apply(window=70, batch_size=12, progress=meddler, note=notes.append)
    assert run.state == "done"
    assert min(len(meddler.deleted), len(meddler.inserted), len(meddler.above)) > 20
    written = {key: (old, new) for key, old, new in kind.written(run)}
    # Once each, and nothing that was right already.
    assert len(written) == len(kind.written(run)) == run.changed
    known = {**before, **meddler.inserted}
    assert {key: (str(known[key]), "7") for key in written} == written
    assert all(known[key] != 7 for key in written)
    # Every row that was there from beginning to end is at 7; later ones are at either what they were or 7.
    survivors = {key for key in before if key not in meddler.deleted}
    assert {key for key in survivors if before[key] != 7} <= set(written)
    lifted = {key: 7 if key in written else v for key, v in known.items() if key not in meddler.deleted}
    assert kind.values() == {**lifted, **meddler.above}
    # What came above the mark is the next run's, and said to be.
    mark = ", ".join(run.high_water)
    above = list(run.events.filter(what="left above").values_list("detail", flat=True))
    assert len(above) == 1
    assert above[0].startswith(f"{len(meddler.above)} rows came after the last key of this run ({mark})")
    assert above[0] in notes


@each_kind
def test_the_next_run_takes_what_came_above_and_then_nothing_is_left(kind: Kind) -> None:
    kind.fill(range(40))
    with other_connection() as other:
        kind.apply(window=10, batch_size=5, progress=Meddler(kind, other, seed=4))
    kind.apply(window=10, batch_size=5)
    assert set(kind.values().values()) == {7}
    assert kind.apply().changed == 0


@each_kind
def test_rows_edited_or_born_again_under_the_run_are_written_once_from_what_they_are(kind: Kind) -> None:
    kind.fill(range(300))
    before = kind.values()
    keys = sorted(before, key=str)
    edited, reborn = keys[5::10], keys[6::10]
    first = threading.Event()

    def meddle(done: int, total: int) -> None:
        if not first.is_set():
            first.set()
            for key in edited:
                kind.set(key, 1_000, other)
            for key in reborn:
                kind.delete(key, other)
                kind.insert([(key, 2_000)], other)

    with other_connection() as other:
        run = kind.apply(batch_size=25, progress=meddle)
    values, written = kind.values(), kind.written(run)
    assert set(values) == set(before)
    assert len({key for key, _, _ in written}) == len(written) == run.changed
    # Those of the first batch were edited after they had been written: they stay as they were left.
    left = {key for key, v in values.items() if v != 7}
    assert left <= set(edited) | set(reborn)
    assert len(left) <= 25
    moved = {key: old for key, old, _ in written if key not in left and key in {*edited, *reborn}}
    assert moved == {key: "1000" if key in edited else "2000" for key in {*edited, *reborn} - left}


@each_kind
def test_the_history_of_a_row_is_found_by_its_key(kind: Kind) -> None:
    kind.fill(range(250))
    before = kind.values()
    run = kind.apply(window=60, batch_size=10)
    assert run.batches > 20
    for key, v in before.items():
        found = changeset.history("default", kind.model, kind.text(key))
        assert [(e.run, e.before, e.after) for e in found] == (
            [] if v == 7 else [(run.pk, {"v": str(v)}, {"v": "7"})]
        ), key
    assert changeset.history("default", kind.model, kind.text(kind.above(0))) == []


@each_kind
def test_a_run_goes_back_and_forth_and_edited_or_deleted_rows_are_left(kind: Kind) -> None:
    kind.fill(range(200))
    before = kind.values()
    run = kind.apply(window=60, batch_size=10)
    todo = sorted((key for key, v in before.items() if v != 7), key=str)
    edited, deleted = todo[10], todo[20]
    kind.set(edited, 55)
    kind.delete(deleted)
    back, plan = changeset.revert(run, Options())
    assert (plan.rows, plan.back) == (len(todo), len(todo) - 2)
    assert sorted(plan.edited) == sorted([kind.text(edited), kind.text(deleted)])
    assert (back.changed, back.left_alone) == (len(todo) - 2, 2)
    assert kind.values() == {key: v for key, v in {**before, edited: 55}.items() if key != deleted}
    # What was taken back is held: the next run leaves it, and takes only the edited row.
    assert kind.apply().changed == 1
    again, _ = changeset.revert(back, Options())
    assert again.changed == len(todo) - 2
    assert kind.values() == {key: 7 for key in before if key != deleted}
    history = changeset.history("default", kind.model, kind.text(todo[0]))
    old = str(before[todo[0]])
    assert [(e.run, e.verb, e.before["v"], e.after["v"]) for e in history] == [
        (run.pk, "apply", old, "7"),
        (back.pk, "revert", "7", old),
        (again.pk, "revert", old, "7"),
    ]


@pytest.mark.parametrize("kind", [KINDS["uuid"], KINDS["composite"]], ids=["uuid", "composite"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.sets(st.integers(0, 200), max_size=90),
    batch_size=st.integers(1, 40),
    window=st.integers(1, 50),
    crashes=st.lists(st.integers(1, 4), max_size=3),
)
def test_any_rows_windows_batches_and_crashes_end_as_one_clean_pass(
    kind: Kind, numbers: set[int], batch_size: int, window: int, crashes: list[int]
) -> None:
    _, crash = crashing(crashes)

    with transaction.atomic():
        kind.fill(sorted(numbers))
        before = kind.values()
        run: Run | None = None
        for _ in range(len(crashes) + 1):
            try:
                # A later start looks at nothing where a crash followed the last commit.
                found = kind.apply(batch_size=batch_size, window=window, progress=crash)
                run = found if run is None or found.changed else run
                break
            except Crash:
                run = Run.objects.latest("pk")
        assert kind.values() == dict.fromkeys(before, 7)
        assert run is not None
        written = kind.written(Run.objects.get(pk=run.pk))
        assert sorted(written, key=str) == sorted(((k, str(v), "7") for k, v in before.items() if v != 7), key=str)
        transaction.set_rollback(True)


def _windows(run: Run) -> list[int]:
    """Return the rows that each window of a run wrote."""
    found: dict[int, int] = {}
    for window, rows in run.changesets.values_list("window", "rows"):
        found[window] = found.get(window, 0) + rows
    return [found[number] for number in sorted(found)]


def _sparse(rows: int, keep: int, window: int) -> tuple[Run, list[int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shelf_counter (id, v, note, email) SELECT i, 0, '', '' FROM generate_series(1, %s) AS i",
            [rows],
        )
        # Nine of ten go, in stretches: whole windows of keys are gaps.
        cursor.execute("DELETE FROM shelf_counter WHERE id %% %s >= %s", [keep * 10, keep])
    run = KINDS["integer"].apply(window=window)
    return run, _windows(run)


def test_windows_are_bounded_by_rows_found_where_nine_of_ten_are_deleted() -> None:
    run, windows = _sparse(20_000, keep=500, window=100)
    assert (run.changed, windows) == (2_000, [100] * 20)
    assert not Counter.objects.exclude(v=7).exists()


@pytest.mark.soak
def test_ten_million_rows_of_which_nine_are_deleted() -> None:
    run, windows = _sparse(10_000_000, keep=250_000, window=50_000)
    assert (run.changed, windows) == (1_000_000, [50_000] * 20)
    assert not Counter.objects.exclude(v=7).exists()


@pytest.mark.parametrize("column", ["slot", "currency", "pk"])
def test_a_job_that_writes_part_of_its_key_is_refused_when_declared(column: str) -> None:
    job = type(
        "Moves", (Reconcile,), {"name": "m", "target": Rate, "wanted": "shelf/list_rates.sql", "columns": (column,)}
    )
    with pytest.raises(BrokenJob, match=r"part of the key|is no column"):
        job().check()


def _commit_when_waited_for(other: Any) -> None:
    with other_connection() as watch, watch.cursor() as cursor:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            cursor.execute("SELECT %s = ANY(pg_blocking_pids(pid)) FROM pg_stat_activity", [other.info.backend_pid])
            if (True,) in cursor.fetchall():
                break
            time.sleep(0.01)
    other.commit()


@pytest.mark.parametrize("patient", [True, False], ids=["waiting", "trying again"])
def test_a_row_that_moves_between_partitions_under_the_run_is_neither_lost_nor_doubled(patient: bool) -> None:
    kind = KINDS["partitioned"]
    kind.fill(range(120))
    before = kind.values()
    # From one partition to the other: past the mark, and back to where the run has been; both before it comes to them.
    goes = {(date(2025, 12, 29), 28): date(2027, 1, 1), (date(2026, 1, 29), 59): date(2025, 12, 1)}
    assert set(goes) <= set(before)
    notes: list[str] = []
    with other_connection() as other:
        other.autocommit = False
        threads: list[threading.Thread] = []

        def move(done: int, total: int) -> None:
            if not threads:
                with other.cursor() as cursor:
                    for (day, number), to in goes.items():
                        cursor.execute(
                            "UPDATE shelf_reading SET day = %s WHERE (day, id) = (%s, %s)", [to, day, number]
                        )
                threads.append(threading.Thread(target=_commit_when_waited_for, args=[other]))
                if patient:
                    threads[0].start()

        def let_go(text: str) -> None:
            notes.append(text)
            other.commit()

        run = kind.apply(window=30, batch_size=10, lock_timeout=20_000 if patient else 200, progress=move, note=let_go)
        if patient:
            threads[0].join()
    # The server tells one who waited that the row has gone elsewhere; one who did not wait finds it gone.
    assert any("moved to another partition" in note if patient else "lock" in note for note in notes), notes
    moved = {(to, key[1]): before[key] for key, to in goes.items()}
    expected = {key: v for key, v in before.items() if key not in goes} | moved
    written = kind.written(run)
    assert len({key[1] for key, _, _ in written}) == len(written)
    lifted = {key for key, _, _ in written}
    assert kind.values() == {key: 7 if key in lifted else v for key, v in expected.items()}
    assert {key for key, v in expected.items() if v != 7} - lifted == set(moved)
    assert (kind.apply().changed, Reading.objects.exclude(v=7).count()) == (2, 0)
