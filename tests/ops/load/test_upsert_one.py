"""`upsert_one`: what it says and does in each case, in one statement, as part of whatever transaction is open."""

import datetime as dt
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone
from psycopg2.extras import DateRange

from ops.engine.parameters import BadParameters
from ops.load import upsert, upsert_one
from ops.models import Changeset, Run
from tests.ops.shop import other_connection
from tests.shelf.models import Buyer, Derived, Good, Hit, Legacy, Member, Node, Rate, Slot, Sold, Ticket

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = {"expressions": {"count": "target.count + excluded.count", "last_at": "clock_timestamp()"}}


def good(**values: Any) -> str:
    """Upsert a good by its number; return what was done, its key being right."""
    state, key = upsert_one(Good, values, on=["sku"])
    assert key == Good.objects.get(sku=values["sku"]).pk
    return state


def hits() -> list[tuple[Any, ...]]:
    return list(Hit.objects.order_by("digest").values_list("digest", "count", "label"))


@pytest.mark.smoke
def test_inserted_updated_unchanged() -> None:
    row = {"sku": "a", "stock": 1, "price": Decimal("1.5"), "weight": None}
    assert [good(**row), good(**row)] == ["inserted", "unchanged"]
    assert [good(**{**row, "weight": 2.5}), good(**{**row, "weight": 2.5})] == ["updated", "unchanged"]
    assert [good(**row), good(sku="b")] == ["updated", "inserted"]
    found = Good.objects.order_by("sku").values_list("sku", "stock", "price", "weight")
    assert list(found) == [("a", 1, Decimal("1.50"), None), ("b", 0, None, None)]
    # There is no run of it, so no history, and nothing to be taken back.
    assert (Run.objects.count(), Changeset.objects.count()) == (0, 0)


def test_an_unchanged_row_is_not_touched() -> None:
    good(sku="a", stock=1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text, ctid::text, updated_at FROM shelf_good")
        before = cursor.fetchall()
        good(sku="a", stock=1)
        cursor.execute("SELECT xmin::text, ctid::text, updated_at FROM shelf_good")
        assert cursor.fetchall() == before


def test_the_order_of_values_is_free() -> None:
    assert upsert_one(Good, {"sku": "a", "name": "n", "stock": 1}, on=["sku"])[0] == "inserted"
    assert upsert_one(Good, {"stock": 1, "name": "n", "sku": "a"}, on=["sku"])[0] == "unchanged"
    assert upsert_one(Good, {"name": "n", "sku": "a", "stock": 2}, on=["sku"])[0] == "updated"
    assert list(Good.objects.values_list("sku", "name", "stock")) == [("a", "n", 2)]


def test_a_counter_and_its_clock() -> None:
    before = timezone.now()
    states = [upsert_one(Hit, {"digest": "a", "count": n}, **COUNT)[0] for n in (2, 3, 0)]
    assert states == ["inserted", "updated", "unchanged"]
    assert hits() == [("a", 5, None)]
    (first,) = Hit.objects.values_list("last_at", flat=True)
    assert first > before
    # clock_timestamp() goes on within a transaction, now() does not; a zero does not move it.
    with transaction.atomic():
        moments = set()
        for n in (1, 1, 0, 1):
            upsert_one(Hit, {"digest": "a", "count": n}, **COUNT)
            moments.add(Hit.objects.get().last_at)
    assert (len(moments), min(moments) > first) == (3, True)
    assert hits() == [("a", 8, None)]


def test_expressions_see_the_row_as_it_was() -> None:
    upsert_one(Hit, {"digest": "a", "count": 10, "label": "x"})
    both = {"count": "target.count * 2", "label": "target.count || excluded.label || '%s {} %%'"}
    assert upsert_one(Hit, {"digest": "a", "count": 0, "label": "y"}, expressions=both) == ("updated", "a")
    assert upsert_one(Hit, {"digest": "b", "count": 0, "label": "y"}, expressions=both) == ("inserted", "b")
    assert hits() == [("a", 20, "10y%s {} %%"), ("b", 0, "y")]


def test_keep_and_fill() -> None:
    good(sku="a", name="x", weight=None)
    assert upsert_one(Good, {"sku": "a", "name": "y"}, on=["sku"], on_conflict="keep")[0] == "unchanged"
    fill: dict[str, Any] = {"on": ["sku"], "on_conflict": "fill"}
    assert upsert_one(Good, {"sku": "a", "name": "y", "weight": None}, **fill)[0] == "unchanged"
    assert upsert_one(Good, {"sku": "a", "name": "y", "weight": 1.0}, **fill)[0] == "updated"
    assert upsert_one(Good, {"sku": "a", "name": "y", "weight": 2.0}, **fill)[0] == "unchanged"
    assert list(Good.objects.values_list("name", "weight")) == [("x", 1.0)]
    assert upsert_one(Good, {"sku": "b", "name": "y"}, on=["sku"], on_conflict="keep")[0] == "inserted"
    assert list(Good.objects.order_by("sku").values_list("name", "weight")) == [("x", 1.0), ("y", None)]


def test_the_newest_version_wins() -> None:
    def one(day: int | None, name: str) -> str:
        at = day and dt.datetime(2026, 1, day, tzinfo=dt.UTC)
        return upsert_one(Good, {"sku": "a", "at": at, "name": name}, on=["sku"], newest_by="at")[0]

    assert [one(5, "five"), one(4, "four"), one(5, "fünf"), one(None, "none")] == ["inserted", *["unchanged"] * 3]
    assert list(Good.objects.values_list("name", flat=True)) == ["five"]
    assert one(6, "six") == "updated"
    Good.objects.update(at=None)
    assert [one(1, "one"), one(1, "uno")] == ["updated", "unchanged"]
    assert list(Good.objects.values_list("name", "at")) == [("one", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))]


def test_an_expression_index() -> None:
    def one(email: str, name: str, **more: Any) -> tuple[str, Any]:
        return upsert_one(Member, {"email": email, "name": name}, on=["shelf_member_email"], **more)

    state, key = one("A@x.org", "one")
    assert state == "inserted"
    assert one("A@x.org", "one") == ("unchanged", key)
    assert one("a@X.org", "two", on_conflict="keep") == ("unchanged", key)
    assert one("a@X.org", "two") == ("updated", key)
    assert one("b@x.org", "two")[0] == "inserted"
    assert list(Member.objects.order_by("id").values_list("email", "name")) == [("a@X.org", "two"), ("b@x.org", "two")]


@pytest.fixture
def _of_two() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX of_two ON shelf_member (lower(email), (coalesce(seat, 0)))")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX of_two")


@pytest.mark.usefixtures("_of_two")
@pytest.mark.parametrize("policy", ["replace", "keep"])
def test_an_expression_index_over_what_is_not_given(policy: str) -> None:
    """The key is of what an inserted row has in that column."""
    more: dict[str, Any] = {"on": ["of_two"], "on_conflict": policy}
    state, key = upsert_one(Member, {"email": "A", "rank": 1}, **more)
    assert (state, upsert_one(Member, {"email": "A", "rank": 1}, **more)) == ("inserted", ("unchanged", key))
    wanted = "updated" if policy == "replace" else "unchanged"
    assert upsert_one(Member, {"email": "a", "rank": 2}, **more) == (wanted, key)
    assert list(Member.objects.values_list("email", "rank", "seat")) == [
        ("a", 2, None) if wanted == "updated" else ("A", 1, None)
    ]


@pytest.mark.usefixtures("_of_two")
def test_an_expression_index_over_what_is_not_given_to_a_load() -> None:
    loaded = [upsert(Member, [{"email": email, "rank": 1}], on=["of_two"]) for email in ("A", "a", "b")]
    assert [(one.inserted, one.updated) for one in loaded] == [(1, 0), (0, 1), (1, 0)]
    assert sorted(Member.objects.values_list("email", "rank", "seat")) == [("a", 1, None), ("b", 1, None)]


def test_a_partial_index() -> None:
    gone = Member.objects.create(email="gone", seat=1, left=True)
    state, key = upsert_one(Member, {"email": "a", "seat": 1}, on=["seat"])
    assert (state, key != gone.pk) == ("inserted", True)
    assert upsert_one(Member, {"email": "a", "seat": 1}, on=["seat"]) == ("unchanged", key)
    assert upsert_one(Member, {"email": "b", "seat": 1}, on=["seat"]) == ("updated", key)
    assert upsert_one(Member, {"email": "c", "seat": 1}, on=["seat"], on_conflict="keep") == ("unchanged", key)
    found = Member.objects.order_by("id").values_list("email", "seat", "left")
    assert list(found) == [("gone", 1, True), ("b", 1, False)]
    # A row outside of the condition meets none: a load refuses it, for it would be inserted again each time.
    assert upsert_one(Member, {"email": "d", "seat": 1, "left": True}, on=["seat"])[0] == "inserted"
    assert Member.objects.count() == 3


def test_null_equals_null() -> None:
    def one(box: int | None, v: int) -> tuple[str, Any]:
        return upsert_one(Slot, {"place": "a", "box": box, "v": v}, on=["place", "box"])

    state, key = one(None, 1)
    assert (state, one(None, 1), one(None, 2)) == ("inserted", ("unchanged", key), ("updated", key))
    assert one(1, 2)[0] == "inserted"
    assert list(Slot.objects.order_by("id").values_list("box", "v")) == [(None, 2), (1, 2)]


def test_null_where_nulls_differ_is_a_row_each() -> None:
    """As SQL has it, and Django; a load refuses such a row, for loading it again would insert it again."""
    for _ in range(2):
        assert upsert_one(Good, {"sku": f"{Good.objects.count()}", "ean": None}, on=["ean"])[0] == "inserted"
    assert list(Good.objects.order_by("sku").values_list("sku", "ean")) == [("0", None), ("1", None)]


def test_a_composite_key() -> None:
    row = {"currency": "KRW", "version": 1, "slot": dt.date(2026, 1, 1), "v": 5}
    key = ("KRW", 1, dt.date(2026, 1, 1))
    for on in ([], ["currency", "version", "slot"]):
        Rate.objects.all().delete()
        assert upsert_one(Rate, row, on=on) == ("inserted", key)
        assert upsert_one(Rate, row, on=on) == ("unchanged", key)
        assert upsert_one(Rate, {**row, "v": 6}, on=on) == ("updated", key)
        assert upsert_one(Rate, {**row, "version": 2}, on=on)[0] == "inserted"
        assert upsert_one(Rate, {**row, "v": 9}, on=on, on_conflict="keep") == ("unchanged", key)
        assert sorted(Rate.objects.values_list("version", "v")) == [(1, 6), (2, 5)]


def test_keys_of_other_types() -> None:
    token = uuid.uuid4()
    assert upsert_one(Ticket, {"id": token, "v": 1}) == ("inserted", token)
    assert upsert_one(Ticket, {"id": str(token), "v": 1}) == ("unchanged", token)
    assert upsert_one(Node, {"name": "x", "parent_id": None}) == ("inserted", "x")
    assert upsert_one(Node, {"name": "y", "parent_id": "x"}) == ("inserted", "y")
    assert upsert_one(Legacy, {"code": "a", "mood": "good", "doc": '{"a":  1}'}, on=["code"])[0] == "inserted"
    assert upsert_one(Legacy, {"code": "a", "mood": "bad", "doc": '{"a":  1}'}, on=["code"])[0] == "updated"
    assert list(Ticket.objects.values_list("id", "v")) == [(token, 1)]
    assert list(Legacy.objects.values_list("code", "mood", "doc")) == [("a", "bad", {"a": 1})]


def test_a_new_row_is_as_django_makes_it() -> None:
    moment = timezone.now()
    for sku in ("a", "b"):
        good(sku=sku)
    first, second = Good.objects.order_by("sku")
    assert (first.kind, first.stock, first.active, first.note, first.doubled, first.name) == (
        "new", 0, True, "as usual", 0, "",
    )  # fmt: skip
    assert first.token != second.token
    assert moment < first.created_at <= first.updated_at
    good(sku="a", stock=2)
    again = Good.objects.get(sku="a")
    assert (again.token, again.created_at) == (first.token, first.created_at)
    assert (again.updated_at > first.updated_at, again.doubled) == (True, 4)


def test_every_type_of_value() -> None:
    row = {
        "sku": "a", "name": "tab\there, \"quotes\", 100 % %s {} \\ 'x'\n", "kind": Good.Kind.USED,
        "price": Decimal("1.50"), "weight": 0.1, "day": dt.date(2026, 2, 28),
        "at": dt.datetime(2026, 2, 28, 1, tzinfo=dt.UTC), "active": False, "extra": {"a": [1, None, "x"], "b": "%s"},
        "tags": ["one", 'fo"ur', "%"], "token": uuid.uuid4(), "blob": b"\x00\xff%s",
        "span": DateRange(dt.date(2026, 1, 1), dt.date(2026, 2, 1)),
    }  # fmt: skip
    assert [good(**row), good(**row)] == ["inserted", "unchanged"]
    found = Good.objects.get()
    for name, value in row.items():
        kept = getattr(found, name)
        assert (bytes(kept) if name == "blob" else str(kept) if name == "span" else kept) == (
            str(value) if name == "span" else value
        ), name
    # What a load makes of it is the same.
    assert upsert(Good, [row], on=["sku"]).unchanged == 1


def test_one_statement(django_assert_num_queries: Any) -> None:
    row = {"digest": "a", "count": 1}
    upsert_one(Hit, row, **COUNT)
    for n in range(3):
        with django_assert_num_queries(1):
            upsert_one(Hit, {"digest": f"{n}", "count": n}, **COUNT)
    with django_assert_num_queries(1):
        upsert_one(Hit, row, **COUNT)
    assert hits() == [("0", 0, None), ("1", 1, None), ("2", 2, None), ("a", 2, None)]


def test_it_is_part_of_the_transaction() -> None:
    upsert_one(Hit, {"digest": "a", "count": 1}, **COUNT)
    with other_connection() as other, other.cursor() as cursor:
        with transaction.atomic():
            assert upsert_one(Hit, {"digest": "a", "count": 1}, **COUNT)[0] == "updated"
            assert upsert_one(Hit, {"digest": "b", "count": 1}, **COUNT)[0] == "inserted"
            assert upsert_one(Hit, {"digest": "b", "count": 1}, **COUNT)[0] == "updated"
            cursor.execute("SELECT digest, count FROM shelf_hit")
            assert cursor.fetchall() == [("a", 1)]
            transaction.set_rollback(True)
        assert hits() == [("a", 1, None)]
        upsert_one(Hit, {"digest": "a", "count": 1}, **COUNT)
        cursor.execute("SELECT digest, count FROM shelf_hit")
        assert cursor.fetchall() == [("a", 2)]


def test_what_the_database_refuses_comes_through() -> None:
    for row, error, said in (
        ({"sku": "a", "stock": -1}, IntegrityError, "shelf_good_stock"),
        ({"sku": None}, IntegrityError, "null value"),
        ({"sku": "a", "buyer_id": 99}, IntegrityError, "foreign key"),
        ({"sku": "a", "price": Decimal(10) ** 9}, DataError, "numeric field overflow"),
    ):
        with pytest.raises(error, match=said), transaction.atomic():
            upsert_one(Good, row, on=["sku"])
    good(sku="a", ean="1")
    with pytest.raises(IntegrityError, match="ean"), transaction.atomic():
        upsert_one(Good, {"sku": "b", "ean": "1"}, on=["sku"])
    assert good(sku="a", ean="2") == "updated"
    assert list(Good.objects.values_list("sku", "ean", "stock")) == [("a", "2", 0)]


def test_what_is_too_long_is_refused_and_not_cut() -> None:
    """An explicit cast to varchar(n) cuts silently, as SQL has it; an assignment does not."""
    with pytest.raises(DataError, match="too long"):
        upsert_one(Buyer, {"code": "x" * 21}, on=["code"])
    upsert_one(Buyer, {"code": "a", "region": "north"}, on=["code"])
    longer = {"region": "target.region || excluded.region"}
    with pytest.raises(DataError, match="too long"):
        upsert_one(Buyer, {"code": "a", "region": "west"}, on=["code"], expressions=longer)
    assert list(Buyer.objects.values_list("code", "region")) == [("a", "north")]


def test_what_is_too_long_is_refused_and_not_cut_by_a_load() -> None:
    """The same of a load's expressions and constants, which are not judged as its records are."""
    Buyer.objects.create(code="a", region="north")
    longer = {"region": "target.region || excluded.region"}
    loaded = upsert(Buyer, [{"code": "a", "region": "west"}], on=["code"], expressions=longer)
    assert (loaded.updated, loaded.rejected) == (0, 1)
    with pytest.raises(BadParameters, match="region"):
        upsert(Buyer, [{"code": "b"}], on=["code"], constants={"region": "southwest"})
    assert list(Buyer.objects.values_list("code", "region")) == [("a", "north")]


def test_a_key_that_is_named_by_one_of_several_indexes() -> None:
    buyer = Buyer.objects.create(code="K")
    assert upsert_one(Good, {"sku": "a", "ean": "1", "buyer_id": buyer.pk}, on=["ean"])[0] == "inserted"
    assert upsert_one(Good, {"sku": "b", "ean": "1"}, on=["ean"])[0] == "updated"
    assert list(Good.objects.values_list("sku", "ean", "buyer__code")) == [("b", "1", "K")]


def test_bad_parameters() -> None:
    for model, row, more, said in (
        (Good, {"sku": "a", "nope": 1}, {}, "'nope' is no field of shelf.Good"),
        (Good, {"sku": "a", "ean": "1"}, {}, "Several unique keys of shelf.Good fit the input"),
        (Good, {"stock": 1}, {}, "No unique key"),
        (Good, {"sku": "a", "doubled": 1}, {}, "'doubled' is computed by the database"),
        (Good, {"sku": "a"}, {"on": ["stock"]}, "no unique key of shelf.Good is of stock"),
        (Good, {"sku": "a"}, {"on_conflict": "shout"}, "on-conflict|on_conflict"),
        (Good, {"sku": "a"}, {"expressions": {"sku": "'b'"}}, "part of a key"),
        (Good, {"sku": "a"}, {"expressions": {"stock": "1; DROP TABLE shelf_good"}}, "no SQL expression"),
        (Good, {"sku": "a"}, {"newest_by": "stock"}, "not among what is loaded"),
        (Good, {"sku": "a", "stock": 1}, {"newest_by": "stock", "on_conflict": "keep"}, "keep"),
        (Good, {}, {}, "Nothing of the input"),
        (Derived, {"code": "a"}, {}, "'code'"),
        (Sold, {"id": 1}, {}, "requires good_id"),
        (Member, {"name": "a"}, {"on": ["shelf_member_seat"]}, "seat is part of the key"),
    ):
        with pytest.raises(BadParameters, match=said):
            upsert_one(model, row, **more)
    assert Good.objects.count() == 0


def test_a_load_and_a_row_agree() -> None:
    """Each way round, the one finds nothing to change in what the other wrote."""
    row = {"sku": "a", "stock": 3, "tags": ["x", "y"], "extra": {"n": 1}, "price": Decimal("2.25")}
    assert upsert(Good, [row], on=["sku"]).inserted == 1
    assert good(**row) == "unchanged"
    assert good(**{**row, "tags": ["x"]}) == "updated"
    assert upsert(Good, [{**row, "tags": ["x"]}], on=["sku"]).unchanged == 1
