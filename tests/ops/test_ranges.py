"""Jobs whose own statement takes a range of keys: once per row, and a true record under concurrent edits."""

import threading
import time
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops import sql
from ops.engine import changeset
from ops.engine import run as engine
from ops.engine.jobs import BrokenJob, Job, Written
from ops.engine.lifecycle import Options
from ops.engine.registry import find
from ops.models import Run
from tests.ops.shop import Crash, changed_rows, crashing, other_connection
from tests.shelf.models import Counter, Rate, Ticket, Word

pytestmark = pytest.mark.django_db(transaction=True)


def fill(rows: int) -> None:
    Counter.objects.bulk_create(Counter(pk=key, v=key) for key in range(1, rows + 1))


def values() -> dict[int, int]:
    return dict(Counter.objects.values_list("pk", "v"))


def apply(name: str = "shelf.increment_range", **options: Any) -> Run:
    return engine.apply(find(name), {"by": 1}, Options(**{"batch_size": 20, **options}))[0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.sets(st.integers(1, 300), max_size=80),
    batch_size=st.integers(1, 60),
    window=st.integers(1, 60),
    crashes=st.lists(st.integers(1, 4), max_size=3),
)
def test_every_row_once_whatever_crashes_and_however_many_gaps(
    keys: set[int], batch_size: int, window: int, crashes: list[int]
) -> None:
    Run.objects.all().delete()
    Counter.objects.all().delete()
    Counter.objects.bulk_create(Counter(pk=key, v=key) for key in sorted(keys))
    _, crash = crashing(crashes)

    for _ in range(len(crashes) + 1):
        try:
            apply(batch_size=batch_size, window=window, progress=crash)
            break
        except Crash:
            if not Run.objects.filter(state__in=Run.UNFINISHED).exists():
                break  # it came after the last commit
    run = Run.objects.get()
    assert values() == {key: key + 1 for key in keys}
    assert sorted(changed_rows(run)) == sorted((str(key), str(key), str(key + 1)) for key in keys)


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["shelf.increment_range", "shelf.increment"])
def test_what_is_kept_is_what_the_statement_found_though_it_was_edited_meanwhile(name: str) -> None:
    fill(100)
    threads: list[threading.Thread] = []

    def edit(done: int, total: int) -> None:
        if threads:
            return
        with other.cursor() as cursor:
            # Every row that is still to be written, so that the next batch reads before this and writes after it.
            cursor.execute("UPDATE shelf_counter SET v = v + 1000 WHERE v = id")

        def commit() -> None:
            time.sleep(0.3)  # the batch has its snapshot by now, and waits for the rows
            other.commit()

        threads.append(threading.Thread(target=commit))
        threads[0].start()

    with other_connection() as other:
        other.autocommit = False
        run = apply(name, progress=edit)
        threads[0].join()
    assert sorted(values().values())[-80:] == sorted(v for v in values().values() if v > 1_000)
    assert sum(values().values()) == sum(range(1, 101)) + 100 + 80 * 1_000
    found = {int(key): (int(old), int(new)) for key, old, new in changed_rows(run)}
    assert found == {key: (v - 1, v) for key, v in values().items()}
    assert "could not serialize" in run.events.get(what="blocked").detail


def test_a_range_within_a_callers_transaction_or_all_or_nothing_locks_its_rows() -> None:
    fill(60)
    run = apply(atomic=True)
    assert (run.changed, values()) == (60, {key: key + 1 for key in range(1, 61)})
    assert len(changed_rows(run)) == 60


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("shelf.increment_ticket_range", lambda i: Ticket(pk=uuid.uuid4(), v=i)),
        ("shelf.increment_word_range", lambda i: Word(pk=f"{'aZä-'[i % 4]}{i}'%", v=i)),
    ],
)
def test_random_keys_and_keys_of_text_are_ranged_by_their_own_order(name: str, make: Any) -> None:
    rows = [make(i) for i in range(90)]
    type(rows[0]).objects.bulk_create(rows)
    run = apply(name, batch_size=7, window=40)
    assert dict(type(rows[0]).objects.values_list("pk", "v")) == {row.pk: row.v + 1 for row in rows}
    assert sorted(changed_rows(run)) == sorted((str(row.pk), str(row.v), str(row.v + 1)) for row in rows)
    back, _ = changeset.revert(run, Options())
    assert (back.changed, dict(type(rows[0]).objects.values_list("pk", "v"))) == (90, {r.pk: r.v for r in rows})


def test_without_columns_nothing_is_kept() -> None:
    fill(50)
    run = apply("shelf.increment_range_unkept")
    assert (run.changed, run.changesets.count(), values()) == (50, 0, {key: key + 1 for key in range(1, 51)})


TEXT = """-- Add to a range.
-- params: {params}
-- returns: {returns}
UPDATE t SET v = v + 1 WHERE id BETWEEN %(first)s AND {last} RETURNING {returns}
"""


def declared(returns: str = "id, v", last: str = "%(last)s", **more: Any) -> None:
    params = "first, last" if "%" in last else "first"
    text = sql.parse("shelf/x.sql", TEXT.format(params=params, returns=returns, last=last))
    job = type("Broken", (Job,), {"name": "shelf.x", "target": Counter, "batch": "shelf/x.sql", **more})
    with sql.using({"shelf/x.sql": text}):
        job().check()


def hear(self: Job, written: Written) -> None:
    """Hear of a batch."""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"target": Rate}, "a key of several columns, or rows of one's own choice, make no range"),
        ({"rows": "shelf/list_odd_counters.sql"}, "make no range"),
        ({"columns": ("v", "note")}, "does not return note"),
        ({"returns": "v", "columns": ("v",)}, "does not return id"),
        ({"returns": "v, id", "after_batch": hear}, "must return the key first"),
        ({"last": "9"}, "takes no range of keys"),
    ],
)
def test_a_range_that_can_not_be_kept_is_refused_when_it_is_declared(more: dict[str, Any], said: str) -> None:
    declared(columns=("v",))
    with pytest.raises(BrokenJob, match=said):
        declared(**more)
