"""What becomes of a row that is there already, and which key says that it is."""

import re
from typing import Any

import pytest
from django.db import connection

from ops.engine.parameters import BadParameters
from ops.engine.plan import Refused
from ops.load import Loaded, upsert
from ops.models import Reject
from tests.shelf.models import Good, Hit, Member

pytestmark = pytest.mark.django_db(transaction=True)


def counts(loaded: Loaded) -> tuple[int, ...]:
    found = (loaded.inserted, loaded.updated, loaded.unchanged, loaded.merged, loaded.rejected)
    assert sum(found) == loaded.lines
    return found


def row(sku: str = "a", **more: Any) -> dict[str, Any]:
    return {"sku": sku, **more}


def load(*rows: dict[str, Any], **more: Any) -> tuple[int, ...]:
    return counts(upsert(Good, list(rows), on=["sku"], **more))


def test_keep_leaves_what_is_there() -> None:
    load(row(stock=1))
    assert load(row(stock=2), row("b", stock=3), on_conflict="keep") == (1, 0, 1, 0, 0)
    assert list(Good.objects.order_by("sku").values_list("stock", flat=True)) == [1, 3]


def test_fill_fills_what_is_null() -> None:
    load(row(weight=None, name="x"), row("b", weight=1.0, name="y"))
    assert load(row(weight=2.0, name="z"), row("b", weight=3.0, name="z"), on_conflict="fill") == (0, 1, 1, 0, 0)
    assert list(Good.objects.order_by("sku").values_list("weight", "name")) == [(2.0, "x"), (1.0, "y")]


def test_an_expression_adds_and_a_clock_does_not_count() -> None:
    more = {"expressions": {"count": "target.count + excluded.count", "last_at": "clock_timestamp()"}}
    rows = [{"digest": "a", "count": 2}, {"digest": "b", "count": 1}, {"digest": "a", "count": 3}]
    assert counts(upsert(Hit, rows, **more)) == (2, 0, 0, 1, 0)
    assert dict(Hit.objects.values_list("digest", "count")) == {"a": 5, "b": 1}
    assert counts(upsert(Hit, rows[:2], **more)) == (0, 2, 0, 0, 0)
    assert dict(Hit.objects.values_list("digest", "count")) == {"a": 7, "b": 2}
    assert counts(upsert(Hit, [{"digest": "a", "count": 0}], **more)) == (0, 0, 1, 0, 0)


def test_what_adds_is_not_loaded_twice_unless_told() -> None:
    more: dict[str, Any] = {"expressions": {"count": "target.count + excluded.count"}}
    rows = [{"digest": "a", "count": 2}]
    first = upsert(Hit, rows, **more)
    with pytest.raises(Refused, match=f"Run {first.run.pk} has loaded the same input"):
        upsert(Hit, rows, **more)
    assert Hit.objects.get().count == 2
    upsert(Hit, rows, **more, again=True)
    assert Hit.objects.get().count == 4
    upsert(Hit, rows, expressions={"count": "greatest(target.count, excluded.count)"})
    assert Hit.objects.get().count == 4


def test_an_expression_is_one_expression_of_the_row() -> None:
    load(row(stock=1))
    for text in ("1; DROP TABLE shelf_good", "nope.x", "(SELECT 1", "excluded.stock) --", "1, name = 'x'"):
        with pytest.raises(BadParameters, match="--expr"):
            load(row(stock=2), expressions={"stock": text})
    assert Good.objects.get().stock == 1
    assert load(row(stock=2), expressions={"stock": "excluded.stock * 10 -- ten"}) == (0, 1, 0, 0, 0)
    assert Good.objects.get().stock == 20


def test_the_newest_version_wins() -> None:
    load(row(stock=5, name="five"))
    rows = [row(stock=4, name="four"), row("b", stock=1, name="old"), row("b", stock=2, name="new")]
    assert load(*rows, row("b", stock=0, name=""), newest_by="stock") == (1, 0, 1, 2, 0)
    assert list(Good.objects.order_by("sku").values_list("name", flat=True)) == ["five", "new"]
    assert load(row(stock=6, name="six"), newest_by="stock") == (0, 1, 0, 0, 0)


def test_a_key_may_be_named_by_its_constraint_or_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'shelf_good'::regclass AND contype = 'u' "
            "AND pg_get_constraintdef(oid) LIKE '%(sku)'"
        )
        (name,) = cursor.fetchone()
    assert counts(upsert(Good, [row(ean="1")], on=[name])) == (1, 0, 0, 0, 0)
    assert counts(upsert(Good, [row(ean="2")], on=[name])) == (0, 1, 0, 0, 0)


def test_an_expression_index_decides() -> None:
    rows = [{"email": "A@x.org", "name": "one"}, {"email": "b@x.org", "name": "two"}]
    assert counts(upsert(Member, rows, on=["shelf_member_email"])) == (2, 0, 0, 0, 0)
    again = [
        {"email": "a@X.org", "name": "three"},
        {"email": "B@x.org", "name": "two"},
        {"email": "a@x.ORG", "name": "4"},
    ]
    assert counts(upsert(Member, again, on=["shelf_member_email"])) == (0, 2, 0, 1, 0)
    assert dict(Member.objects.values_list("email", "name")) == {"a@x.ORG": "4", "B@x.org": "two"}
    assert counts(upsert(Member, again[1:], on=["shelf_member_email"])) == (0, 0, 2, 0, 0)


def test_a_partial_index_decides_among_its_rows() -> None:
    Member.objects.create(email="gone", seat=1, left=True)
    rows = [{"email": "a", "seat": 1}, {"email": "b", "seat": 2}]
    assert counts(upsert(Member, rows, on=["seat"])) == (2, 0, 0, 0, 0)
    changed = [{"email": "c", "seat": 1}, {"email": "b", "seat": 2}]
    assert counts(upsert(Member, changed, on=["seat"])) == (0, 1, 1, 0, 0)
    left = upsert(Member, [{"email": "d", "seat": 1, "left": True}], on=["seat"])
    assert counts(left) == (0, 0, 0, 0, 1)
    assert re.search("outside of the key's condition", Reject.objects.get(run=left.run).reason)
    assert Member.objects.count() == 3


def test_null_in_a_part_of_the_key_is_refused() -> None:
    loaded = upsert(Member, [{"email": "a", "seat": None}, {"email": "b", "seat": 1}], on=["seat"])
    assert counts(loaded) == (1, 0, 0, 0, 1)
    reject = Reject.objects.get()
    assert (reject.line, reject.column, reject.reason) == (1, "seat", "null in a part of the key")


def test_another_unique_key_refuses_a_row() -> None:
    load(row(ean="1"), row("b", ean="2"))
    loaded = upsert(Good, [row("c", ean="2"), row("d", ean="4"), row("a", ean="3")], on=["sku"])
    assert counts(loaded) == (1, 1, 0, 0, 1)
    reject = Reject.objects.get()
    assert reject.line == 1
    assert reject.reason.startswith("another row has the same ean")
    assert sorted(Good.objects.values_list("sku", "ean")) == [("a", "3"), ("b", "2"), ("d", "4")]
