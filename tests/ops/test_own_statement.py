"""Jobs with a statement of their own: once per row whatever happens, and a true record of what it changed."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops import sql
from ops.engine import changeset
from ops.engine import run as engine
from ops.engine.jobs import BrokenJob, Job
from ops.engine.lifecycle import Options
from ops.engine.plan import Refused
from ops.engine.registry import find
from ops.models import Run
from tests.ops.shop import Crash, changed_rows, command, crashing, other_connection
from tests.shelf.jobs import ByForm
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)


def fill(rows: int) -> None:
    Counter.objects.bulk_create(Counter(pk=key, v=key) for key in range(1, rows + 1))


def values() -> dict[int, int]:
    return dict(Counter.objects.values_list("pk", "v"))


def apply(name: str = "shelf.increment", by: int = 1, **options: Any) -> Run:
    return engine.apply(find(name), {"by": by}, Options(**{"batch_size": 20, **options}))[0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(0, 100),
    batch_size=st.integers(1, 60),
    window=st.integers(1, 60),
    crashes=st.lists(st.integers(1, 4), max_size=3),
    name=st.sampled_from(["shelf.increment", "shelf.increment_unkept", "shelf.increment_odd", "shelf.increment_told"]),
)
def test_every_row_once_whatever_crashes(
    rows: int, batch_size: int, window: int, crashes: list[int], name: str
) -> None:
    _, crash = crashing(crashes)

    with transaction.atomic():
        fill(rows)
        for _ in range(len(crashes) + 1):
            try:
                apply(name, batch_size=batch_size, window=window, progress=crash)
                break
            except Crash:
                # Added again to what is done is a wrong test, not a wrong job: a crash may come after the last commit.
                if not Run.objects.filter(state__in=Run.UNFINISHED).exists():
                    break
        todo = {key for key in range(1, rows + 1) if name != "shelf.increment_odd" or key % 2}
        assert values() == {key: key + (key in todo) for key in range(1, rows + 1)}
        run = Run.objects.get()
        assert (run.state, run.changed) == ("done", len(todo))
        kept = [] if name == "shelf.increment_unkept" else sorted((str(k), str(k), str(k + 1)) for k in todo)
        assert sorted(changed_rows(run)) == kept
        transaction.set_rollback(True)


def test_what_is_kept_is_what_the_statement_found_not_what_was_staged() -> None:
    fill(100)
    edited: set[int] = set()

    def edit(done: int, total: int) -> None:
        if done == 40:
            edited.update(Counter.objects.filter(v=F("pk")).values_list("pk", flat=True)[:30])
            with other.cursor() as cursor:
                cursor.execute("UPDATE shelf_counter SET v = v + 1000 WHERE id = ANY(%s)", [sorted(edited)])

    with other_connection() as other:
        run = apply(progress=edit)
    assert len(edited) == 30
    assert values() == {key: key + 1 + 1_000 * (key in edited) for key in range(1, 101)}
    found = {int(key): (int(old), int(new)) for key, old, new in changed_rows(run)}
    assert found == {key: (v - 1, v) for key, v in values().items()}
    assert (run.changed, len(changed_rows(run))) == (100, 100)


def test_rows_that_go_under_the_run_are_no_error_and_new_ones_are_left() -> None:
    fill(100)
    gone: list[int] = []

    def meddle(done: int, total: int) -> None:
        if not gone:
            gone.extend(Counter.objects.filter(v=F("pk")).values_list("pk", flat=True)[:10])
            with other.cursor() as cursor:
                cursor.execute("DELETE FROM shelf_counter WHERE id = ANY(%s)", [gone])
                cursor.execute("INSERT INTO shelf_counter (id, v, note, email) VALUES (500, 0, '', '')")

    with other_connection() as other:
        run = apply(progress=meddle)
    assert values() == {**{key: key + 1 for key in range(1, 101) if key not in gone}, 500: 0}
    assert (run.changed, run.events.filter(what="left above").count()) == (90, 1)


@pytest.mark.parametrize("atomic", [False, True])
def test_a_run_is_taken_back_where_it_was_not_edited_since_and_back_again(atomic: bool) -> None:
    fill(60)
    run = apply(by=5, atomic=atomic, window=25)
    Counter.objects.filter(pk=7).update(v=0)
    back, plan = changeset.revert(run, Options())
    assert (plan.rows, plan.back, plan.edited) == (60, 59, [["7"]])
    assert values() == {key: key if key != 7 else 0 for key in range(1, 61)}
    again, _ = changeset.revert(back, Options())
    assert (again.changed, values()) == (59, {key: key + 5 if key != 7 else 0 for key in range(1, 61)})
    history = changeset.history("default", Counter, ["3"])
    assert [(e.run, e.before["v"], e.after["v"]) for e in history] == [
        (run.pk, "3", "8"),
        (back.pk, "8", "3"),
        (again.pk, "3", "8"),
    ]


def test_a_reverted_run_may_be_done_anew_for_it_is_no_sweep() -> None:
    fill(10)
    changeset.revert(apply(), Options())
    assert (apply().changed, values()) == (10, {key: key + 1 for key in range(1, 11)})


@pytest.mark.parametrize("name", ["shelf.increment_told", "shelf.increment_unkept_told"])
@pytest.mark.parametrize("atomic", [False, True])
def test_the_hook_hears_each_changed_row_once(name: str, atomic: bool) -> None:
    fill(100)
    run = apply(name, window=30, atomic=atomic)
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM shelf_outbox WHERE run = %s ORDER BY key", [run.pk])
        assert cursor.fetchall() == [(key,) for key in range(1, 101)]


def test_only_rows_that_the_statement_changed_are_counted_kept_and_told() -> None:
    fill(30)
    run = apply("shelf.increment_told", by=0)
    assert (run.state, run.changed, run.changesets.count()) == ("done", 0, 0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shelf_outbox WHERE run = %s", [run.pk])
        assert cursor.fetchone() == (0,)


def test_a_job_without_columns_counts_and_cannot_be_taken_back() -> None:
    fill(50)
    run = apply("shelf.increment_unkept")
    assert (run.changed, run.changesets.count(), run.columns) == (50, 0, [])
    sentence = f"Run {run.pk}: the job shelf.increment_unkept declares no columns, so nothing was kept to revert it by."
    with pytest.raises(Refused) as caught:
        changeset.revert(run, Options())
    assert str(caught.value) == sentence
    said = command("runs", "revert", str(run.pk), "--no-input")
    assert (said.code, said.error, said.out) == (3, sentence, "")
    assert values() == {key: key + 1 for key in range(1, 51)}
    assert changeset.history("default", Counter, ["3"]) == []


def test_rows_restricts_what_the_plan_counts_and_the_run_writes() -> None:
    fill(99)
    _, plan = engine.plan_only(find("shelf.increment_odd"), {"by": 1}, Options())
    assert (plan.looked_at, plan.changes) == (50, 50)
    run = apply("shelf.increment_odd", window=7)
    assert (run.changed, values()) == (50, {key: key + key % 2 for key in range(1, 100)})


def _declared(**more: Any) -> Job:
    declared = {"name": "shelf.declared", "target": Counter, "columns": ("v",), **more}
    return type("Declared", (Job,), declared)()


def test_a_statement_that_does_not_read_its_batch_is_refused_when_declared() -> None:
    all_rows = sql.parse("shelf/all.sql", "-- Add to all, not to ops_batch.\nUPDATE shelf_counter SET v = v + 1")
    with sql.using({"shelf/all.sql": all_rows}), pytest.raises(BrokenJob, match=r"does not read pg_temp\.ops_batch"):
        _declared(batch="shelf/all.sql").check()


def test_a_job_without_a_statement_is_refused_when_declared() -> None:
    with pytest.raises(BrokenJob, match="a Job needs 'batch'"):
        _declared().check()


def test_rows_must_return_the_key() -> None:
    keyless = sql.parse("shelf/v.sql", "-- No key.\n-- returns: v\nSELECT v FROM shelf_counter")
    with sql.using({"shelf/v.sql": keyless}), pytest.raises(BrokenJob, match="does not return id"):
        _declared(batch="shelf/increment_counters.sql", params=ByForm, rows="shelf/v.sql").check()


def test_the_command_says_what_there_is_to_say() -> None:
    fill(50)
    said = command("run_job", "shelf.increment", "--by", "2", "--no-input", "--batch-size", "20")
    assert (said.code, values()) == (0, {key: key + 2 for key in range(1, 51)})
    assert said.out.splitlines()[-1] == f"Run {Run.objects.get().pk}: 50 rows written in 3 batches."
    refused = command("run_job", "shelf.increment", "--no-input", "--verify")
    assert (refused.code, values()[1]) == (2, 3)
    assert "nothing to plan again: leave --verify out" in refused.error
