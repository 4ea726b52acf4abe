"""A load taken back: what it inserted is deleted, what it updated restored, where nobody has touched it since."""

from typing import Any

import pytest
from django.db import connection

from ops.engine import changeset
from ops.engine.lifecycle import Options
from ops.load import upsert
from ops.models import Changeset, Run
from tests.shelf.models import Buyer, Good, Hit, Legacy, Slot, Sold

pytestmark = pytest.mark.django_db(transaction=True)


def row(sku: str, stock: int, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "stock": stock, **more}


def load(*rows: dict[str, Any], **more: Any) -> Run:
    return upsert(Good, list(rows), on=["sku"], **more).run


def back(run: Run, **options: Any) -> Run:
    done, _ = changeset.revert(Run.objects.get(pk=run.pk), Options(**options))
    return Run.objects.get(pk=done.pk)


def stocks() -> dict[str, int]:
    return dict(Good.objects.values_list("sku", "stock"))


def everything() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM shelf_good ORDER BY sku")
        return list(cursor.fetchall())


@pytest.mark.smoke
def test_inserted_rows_go_and_updated_ones_are_as_before() -> None:
    load(row("a", 1), row("b", 2))
    before = everything()
    second = load(row("a", 10), row("b", 2), row("c", 3), row("d", 4))
    plan = changeset.find_revert_plan("default", second)
    assert (plan.rows, plan.back, plan.deleted, plan.left_alone) == (3, 3, 2, 0)
    done = back(second)
    assert (done.changed, done.left_alone) == (3, 0)
    assert everything() == before


def test_the_undo_of_the_undo_brings_the_same_rows_back() -> None:
    load(row("a", 1, extra={"x": [1, "ä"]}, tags=["p", "q,r", None], blob=b"\x00\xff", weight=0.1))
    second = load(row("a", 10), row("c", 3, extra={"y": None}, tags=["z"], blob=b"\x01", weight=1e-7), row("d", 4))
    after = everything()
    first_undo = back(second)
    assert stocks() == {"a": 1}
    second_undo = back(first_undo)
    assert everything() == after
    back(second_undo)
    assert stocks() == {"a": 1}


def test_runs_are_taken_back_in_the_order_in_which_they_came() -> None:
    first = load(row("a", 1), row("b", 2))
    second = load(row("a", 10), row("c", 3))
    third = load(row("c", 30))
    for run, left in ((third, {"a": 10, "b": 2, "c": 3}), (second, {"a": 1, "b": 2}), (first, {})):
        done = back(run)
        assert done.left_alone == 0
        assert stocks() == left


def test_what_was_touched_since_is_left_alone() -> None:
    run = load(row("a", 1), row("b", 2), row("c", 3), row("d", 4))
    # A column that the load did not write counts, too: a deleted row would take it along.
    Good.objects.filter(sku="a").update(note="mine")
    Good.objects.filter(sku="b").update(stock=20)
    Sold.objects.create(good=Good.objects.get(sku="c"))
    plan = changeset.find_revert_plan("default", run)
    assert (plan.back, plan.left_alone, len(plan.edited)) == (1, 3, 3)
    done = back(run)
    assert (done.changed, done.left_alone) == (1, 3)
    assert stocks() == {"a": 1, "b": 20, "c": 3}
    assert Sold.objects.count() == 1


def test_a_row_that_came_back_under_the_key_stays() -> None:
    run = load(row("a", 1))
    undone = back(run)
    load(row("a", 5))
    done = back(undone)
    assert (done.changed, done.left_alone) == (0, 1)
    assert stocks() == {"a": 5}


def test_a_counter_that_others_have_moved_stays() -> None:
    more: dict[str, Any] = {"expressions": {"count": "target.count + excluded.count"}}
    upsert(Hit, [{"digest": "a", "count": 1}, {"digest": "b", "count": 1}])
    run = upsert(Hit, [{"digest": "a", "count": 5}, {"digest": "b", "count": 5}], **more).run
    Hit.objects.filter(digest="b").update(count=100)
    done = back(run)
    assert (done.changed, done.left_alone) == (1, 1)
    assert dict(Hit.objects.values_list("digest", "count")) == {"a": 1, "b": 100}


def test_created_parents_stay() -> None:
    run = load(row("a", 1, who="K"), mapping={"who": "buyer__code"}, create=["buyer"])
    back(run)
    assert (stocks(), Buyer.objects.count()) == ({}, 1)
    assert "made" in set(run.events.values_list("what", flat=True))


def test_other_tables_and_keys() -> None:
    slots = upsert(Slot, [{"place": "a", "box": None, "v": 1}, {"place": "a", "box": 2, "v": 2}], on=["place", "box"])
    legacy = upsert(Legacy, [{"code": "a", "mood": "bad", "share": 1, "doc": '{"b":  1, "a": 2}'}], on=["code"])
    for loaded, model in ((slots, Slot), (legacy, Legacy)):
        undone = back(loaded.run)
        assert model.objects.count() == 0
        back(undone)
        assert model.objects.count() == loaded.inserted
    assert Legacy.objects.get().doc == {"b": 1, "a": 2}


def test_batches_are_taken_back_one_by_one() -> None:
    load(*(row(f"s{i}", i) for i in range(0, 100, 2)))
    run = load(*(row(f"s{i}", i + 1) for i in range(100)), options=Options(batch_size=7))
    kinds = Changeset.objects.filter(run=run).values_list("kind", flat=True)
    assert set(kinds) == {"insert", "update"}
    assert len(kinds) > 20
    done = back(run)
    assert done.changed == 100
    assert stocks() == {f"s{i}": i for i in range(0, 100, 2)}


def test_history_tells_of_insertions() -> None:
    load(row("a", 1))
    second = load(row("a", 2))
    back(second)
    pk = str(Good.objects.get().pk)
    found = [
        (entry.verb, entry.kind, entry.before["stock"], entry.after["stock"])
        for entry in changeset.history("default", Good, [pk])
    ]
    assert found == [("apply", "insert", None, "1"), ("apply", "update", "1", "2"), ("revert", "update", "2", "1")]
