"""What a load does with rows of every kind: each record accounted for, nothing written that is not different."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from ops.engine.lifecycle import Options
from ops.engine.parameters import BadParameters
from ops.load import BadInput, Loaded, upsert
from ops.models import Reject, Run
from tests.shelf.models import Buyer, Derived, Good, Legacy, Node, Slot

pytestmark = pytest.mark.django_db(transaction=True)


def counts(loaded: Loaded) -> tuple[int, ...]:
    """Return inserted, updated, unchanged, merged, rejected; they must add up to the lines."""
    found = (loaded.inserted, loaded.updated, loaded.unchanged, loaded.merged, loaded.rejected)
    assert sum(found) == loaded.lines
    return found


def goods(*names: str) -> list[tuple[Any, ...]]:
    return list(Good.objects.order_by("sku").values_list(*names))


ROWS = [{"sku": f"s{i}", "name": f"name {i}", "stock": i, "price": Decimal(i) / 4} for i in range(10)]


@pytest.mark.smoke
def test_rows_are_inserted_updated_and_left_alone() -> None:
    assert counts(upsert(Good, ROWS, on=["sku"])) == (10, 0, 0, 0, 0)
    assert counts(upsert(Good, ROWS, on=["sku"])) == (0, 0, 10, 0, 0)
    changed = [{**row, "stock": 5} for row in ROWS[:4]] + ROWS[4:]
    more = {"sku": "t", "name": "", "stock": 1, "price": None}
    loaded = upsert(Good, [*changed, more], on=["sku"])
    assert counts(loaded) == (1, 4, 6, 0, 0)
    assert goods("sku", "stock", "price") == [
        *((f"s{i}", 5 if i < 4 else i, round(Decimal(i) / 4, 2)) for i in range(10)),
        ("t", 1, None),
    ]
    run = loaded.run
    assert (run.state, run.changed, run.target) == (Run.State.DONE, 5, "shelf.Good")
    assert set(run.columns) >= {"name", "stock", "price", "updated_at"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^ops_(stage|merge)_'")
        assert cursor.fetchone() == (0,)


def test_unchanged_rows_are_not_touched() -> None:
    upsert(Good, ROWS, on=["sku"])
    before = set(goods("sku", "updated_at"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT sku, xmin::text, ctid::text FROM shelf_good ORDER BY sku")
        places = cursor.fetchall()
        upsert(Good, [*ROWS[:9], {**ROWS[9], "stock": 99}], on=["sku"])
        cursor.execute("SELECT sku, xmin::text, ctid::text FROM shelf_good ORDER BY sku")
        assert cursor.fetchall()[:9] == places[:9]
    assert len(before - set(goods("sku", "updated_at"))) == 1


def test_the_clock_columns_are_djangos() -> None:
    upsert(Good, ROWS[:1], on=["sku"])
    (first,) = goods("created_at", "updated_at")
    upsert(Good, [{**ROWS[0], "stock": 7}], on=["sku"])
    (second,) = goods("created_at", "updated_at")
    assert second[0] == first[0]
    assert second[1] > first[1]


def test_defaults_are_djangos() -> None:
    upsert(Good, [{"sku": "a"}, {"sku": "b"}], on=["sku"])
    first, second = Good.objects.order_by("sku")
    assert (first.kind, first.stock, first.active, first.note, first.doubled) == ("new", 0, True, "as usual", 0)
    assert first.token != second.token


def test_every_type_of_column() -> None:
    token = uuid.uuid4()
    row = {
        "sku": "a", "ean": None, "name": "tab\there, \"quotes\", back\\slash\nand a line", "kind": "used",
        "price": Decimal("1.50"), "stock": 3, "weight": 0.1, "day": dt.date(2026, 2, 28),
        "at": dt.datetime(2026, 2, 28, 1, 0, tzinfo=dt.UTC), "active": False,
        "extra": {"a": [1, None, "x,y"]}, "tags": ["one", "two, three", 'fo"ur', None], "token": token,
        "blob": b"\x00\xff\\n",
    }  # fmt: skip
    assert counts(upsert(Good, [row], on=["sku"])) == (1, 0, 0, 0, 0)
    good = Good.objects.get()
    for name, value in row.items():
        found = getattr(good, name)
        assert (bytes(found) if name == "blob" else found) == value, name
    assert counts(upsert(Good, [row], on=["sku"])) == (0, 0, 1, 0, 0)


def test_sequences_and_instances() -> None:
    assert counts(upsert(Good, [("a", 1), ("b", 2)], columns=["sku", "stock"], on=["sku"])) == (2, 0, 0, 0, 0)
    instances = [Good(sku="b", stock=3), Good(sku="c", stock=4)]
    assert counts(upsert(Good, iter(instances), columns=["sku", "stock"], on=["sku"])) == (1, 1, 0, 0, 0)
    assert goods("sku", "stock") == [("a", 1), ("b", 3), ("c", 4)]


def test_no_rows_at_all() -> None:
    assert counts(upsert(Good, [], columns=["sku", "stock"])) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("duplicates", "left", "stock"),
    [
        ("", (1, 0, 0, 2, 0), 3),
        ("last", (1, 0, 0, 2, 0), 3),
        ("first", (1, 0, 0, 2, 0), 1),
        ("sum", (1, 0, 0, 2, 0), 6),
    ],
)
def test_rows_of_one_key_are_merged(duplicates: str, left: tuple[int, ...], stock: int) -> None:
    rows = [("a", 1, "x"), ("a", 2, "y"), ("a", 3, "z")]
    loaded = upsert(Good, rows, columns=["sku", "stock", "name"], on=["sku"], duplicates=duplicates)
    assert counts(loaded) == left
    assert goods("stock", "name") == [(stock, "x" if duplicates == "first" else "z")]


def test_rows_of_one_key_are_refused() -> None:
    rows = [("a", 1), ("b", 2), ("a", 3)]
    loaded = upsert(Good, rows, columns=["sku", "stock"], on=["sku"], duplicates="refuse")
    assert counts(loaded) == (1, 0, 0, 0, 2)
    assert goods("sku") == [("b",)]
    assert {one.reason for one in Reject.objects.all()} == {"its key is not unique"}


def test_a_foreign_key_by_its_natural_key() -> None:
    Buyer.objects.create(code="K")
    rows = [{"sku": "a", "who": "K"}, {"sku": "b", "who": "L"}, {"sku": "c", "who": None}]
    loaded = upsert(Good, rows, mapping={"who": "buyer__code"}, on=["sku"])
    assert counts(loaded) == (2, 0, 0, 0, 1)
    assert goods("sku", "buyer__code") == [("a", "K"), ("c", None)]
    (reject,) = Reject.objects.all()
    assert (reject.line, reject.column, reject.value, reject.reason) == (2, "who", "L", "unknown key of shelf_buyer")


def test_missing_parents_are_created() -> None:
    rows = [{"sku": f"s{i}", "who": f"buyer {i % 3}"} for i in range(9)]
    upsert(Good, rows, mapping={"who": "buyer__code"}, create=["buyer"], on=["sku"])
    assert Buyer.objects.count() == 3
    assert dict(goods("sku", "buyer__code")) == {row["sku"]: row["who"] for row in rows}


def test_a_tree_in_one_load() -> None:
    rows = [{"name": f"n{i}", "parent": None if i == 9 else f"n{i + 1}"} for i in range(10)]
    assert counts(upsert(Node, rows, options=Options(batch_size=2))) == (10, 0, 0, 0, 0)
    lost = upsert(Node, [{"name": "x", "parent": "nobody"}, {"name": "y", "parent": "x"}])
    assert lost.rejected >= 1
    assert set(Node.objects.values_list("name", flat=True)) == {f"n{i}" for i in range(10)}


def test_null_equals_null_where_the_constraint_says_so() -> None:
    rows = [{"place": "a", "box": None, "v": 1}, {"place": "a", "box": 1, "v": 2}]
    assert counts(upsert(Slot, rows, on=["place", "box"])) == (2, 0, 0, 0, 0)
    assert counts(upsert(Slot, [*rows, {"place": "a", "box": None, "v": 3}], on=["place", "box"])) == (0, 1, 1, 1, 0)
    assert list(Slot.objects.order_by("v").values_list("box", "v")) == [(1, 2), (None, 3)]


def test_a_table_that_django_does_not_manage() -> None:
    rows = [
        {"code": "a", "mood": "good", "share": 7, "doc": '{"x": 1}'},
        {"code": "b", "mood": "sad", "share": 7, "doc": None},
        {"code": "c", "mood": None, "share": 101, "doc": None},
        {"code": "d", "mood": None, "share": 13, "doc": None},
        {"code": "e", "mood": None, "share": 14, "doc": "{"},
    ]
    assert counts(upsert(Legacy, rows, on=["code"])) == (1, 0, 0, 0, 4)
    reasons = dict(Reject.objects.values_list("line", "reason"))
    assert reasons == {
        2: "no shelf_mood",
        3: "no shelf_share",
        4: "refused by the database: thirteen brings bad luck",
        5: "no json",
    }
    assert counts(upsert(Legacy, rows[:1], on=["code"])) == (0, 0, 1, 0, 0)


def test_what_cannot_be_loaded_is_said_before_anything_is_opened() -> None:
    for arguments, said in (
        ({"source": [{"sku": "a", "nope": 1}]}, "'nope' is no field of shelf.Good"),
        ({"source": [{"stock": 1}]}, "No unique key of shelf.Good is fed by the input"),
        ({"source": [{"sku": "a", "ean": "1"}]}, "Several unique keys of shelf.Good fit the input"),
        ({"source": [{"sku": "a", "doubled": 1}]}, "'doubled' is computed by the database"),
        ({"source": [{"sku": "a"}], "on": ["stock"]}, "no unique key of shelf.Good is of stock"),
        ({"source": [{"sku": "a"}], "expressions": {"sku": "'b'"}}, "part of a key"),
        ({"source": [{"sku": "a"}], "on_conflict": "shout"}, "--on-conflict"),
        ({"source": [{"sku": "a"}], "mapping": {"b": "stock"}}, "there is no source column 'b'"),
    ):
        with pytest.raises(BadParameters, match=said):
            upsert(Good, **arguments)
    with pytest.raises(BadParameters, match=r"is a column of shelf\.Base, which shelf\.Derived inherits from"):
        upsert(Derived, [{"code": "a", "size": 1}], mapping={"code": "code"})
    assert (Run.objects.count(), Good.objects.count()) == (0, 0)


def test_written_rows_are_given_back_by_batches() -> None:
    upsert(Good, ROWS[:3], on=["sku"])
    loaded = upsert(Good, [{**row, "stock": 50} for row in ROWS], on=["sku"], returning=["sku"])
    found = sorted((row.values[0], row.inserted) for row in loaded.rows)
    assert found == [(f"s{i}", i >= 3) for i in range(10)]
    ids = {row.key[0] for row in upsert(Good, [{**ROWS[0], "stock": 51}], on=["sku"], returning=["pk"]).rows}
    assert ids == set(Good.objects.filter(sku="s0").values_list("pk", flat=True))


def test_rows_may_carry_the_line_that_they_were_made_of() -> None:
    rows = [
        {"_line": 2, "sku": "a", "stock": 1},
        {"_line": 7, "sku": "b", "stock": "x"},
        {"_line": 9, "sku": "c", "stock": 3},
    ]
    assert counts(upsert(Good, rows, on=["sku"])) == (2, 0, 0, 0, 1)
    assert Reject.objects.get().line == 7
    with pytest.raises(BadInput, match="it names the row"):
        upsert(Good, [rows[1], rows[0]], on=["sku"])


def test_a_callers_transaction_keeps_its_zone() -> None:
    with transaction.atomic():
        upsert(Good, [{"sku": "a", "at": "2026-01-01 09:00"}], on=["sku"])
        assert Good.objects.get().at == dt.datetime(2026, 1, 1, 0, 0, tzinfo=dt.UTC)
