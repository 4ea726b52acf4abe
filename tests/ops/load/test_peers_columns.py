"""More of what the suites of django-pgbulk and django-postgres-extra check for upserts: rows of all kinds, columns.

See test_peers.py for where they are found, and what `pgbulk:` and `psqlextra:` mean.
"""

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group
from django.db import connection
from django_celery_beat.models import CrontabSchedule

from ops.engine.lifecycle import Options
from ops.load import BadInput, Loaded, upsert, upsert_one
from ops.models import Changeset
from tests.shelf.models import Buyer, Good, Hit, Parcel

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = pytest.mark.parametrize("policy", ["replace", "keep"])


def counts(loaded: Loaded) -> tuple[int, ...]:
    """Return inserted, updated, unchanged, merged, rejected; they must add up to the lines."""
    found = (loaded.inserted, loaded.updated, loaded.unchanged, loaded.merged, loaded.rejected)
    assert sum(found) == loaded.lines, list(loaded.rejects)
    return found


def goods(*names: str) -> list[tuple[Any, ...]]:
    return list(Good.objects.order_by("sku").values_list(*names))


# Model instances


def test_instances_whole() -> None:
    """pgbulk: auto_field_upsert, non_concrete_field: what is not set on an instance is as `bulk_create` would have it.

    That is the key that the database numbers, defaults of both kinds, auto_now and auto_now_add.
    """
    assert counts(upsert(Group, [Group(name="one"), Group(name="two")], on=["name"])) == (2, 0, 0, 0, 0)
    assert sorted(Group.objects.values_list("name", flat=True)) == ["one", "two"]
    instances = [Good(sku="a", stock=1, tags=["x"]), Good(sku="b", stock=2)]
    assert counts(upsert(Good, instances, on=["sku"])) == (2, 0, 0, 0, 0)
    assert goods("sku", "stock", "tags", "kind", "note", "doubled") == [
        ("a", 1, ["x"], "new", "as usual", 2),
        ("b", 2, None, "new", "as usual", 4),
    ]
    assert goods("token") == [(instances[0].token,), (instances[1].token,)]
    assert None not in {value for row in goods("pk", "created_at", "updated_at") for value in row}


def test_instances_whole_that_are_there() -> None:
    """pgbulk: update_fields_returning: all fields by default; the first moment and the key stay."""
    good = Good.objects.create(sku="a", stock=1)
    before = Good.objects.get()
    assert counts(upsert(Good, [Good(sku="a", stock=5, token=good.token)], on=["sku"])) == (0, 1, 0, 0, 0)
    after = Good.objects.get()
    assert (after.pk, after.created_at, after.stock, after.note) == (before.pk, before.created_at, 5, "as usual")
    assert after.updated_at > before.updated_at


def test_database_defaults() -> None:
    """pgbulk: upsert_with_db_defaults: a column that is left out gets its default, and stays as it is where it is."""
    assert counts(upsert(Hit, [{"digest": "a"}])) == (1, 0, 0, 0, 0)
    assert Hit.objects.get().count == 1
    Hit.objects.update(count=42)
    assert counts(upsert(Hit, [{"digest": "a", "label": "x"}, {"digest": "b", "label": "y"}])) == (1, 1, 0, 0, 0)
    assert sorted(Hit.objects.values_list("digest", "count", "label")) == [("a", 42, "x"), ("b", 1, "y")]


def test_instances_that_have_not_set_the_same() -> None:
    """pgbulk: upsert_with_db_defaults: one relies on the default, and the other does not."""
    rows = [Good(sku="a"), Good(sku="b", note="own"), Good(sku="c")]
    assert counts(upsert(Good, rows, on=["sku"])) == (3, 0, 0, 0, 0)
    assert goods("sku", "note") == [("a", "as usual"), ("b", "own"), ("c", "as usual")]


@pytest.mark.parametrize("stored", ["own", "DEFAULT"])
def test_instances_with_database_defaults(stored: str) -> None:
    """pgbulk: upsert_with_db_defaults: instances that leave a column out go back to its default beside others."""
    assert counts(upsert(Hit, [Hit(digest="a")])) == (1, 0, 0, 0, 0)
    Good.objects.create(sku="a", note="mine")
    rows = [Good(sku="a"), Good(sku="b", note=stored), Good(sku="c")]
    assert counts(upsert(Good, rows, columns=["sku", "note"], on=["sku"])) == (2, 1, 0, 0, 0)
    assert goods("sku", "note") == [("a", "as usual"), ("b", stored), ("c", "as usual")]
    assert list(Hit.objects.values_list("digest", "count")) == [("a", 1)]


@POLICIES
def test_fields_that_fill_themselves(policy: str) -> None:
    """pgbulk: upsert_created_updated_auto_datetime_values; psqlextra: on_conflict_auto_fields.

    Theirs moves auto_now of a row that is otherwise equal; ours does not touch such a row.
    """
    Good.objects.create(sku="a", stock=1)
    Good.objects.create(sku="b", stock=1)
    old = {sku: (created, updated) for sku, created, updated in goods("sku", "created_at", "updated_at")}
    rows = [{"sku": "a", "stock": 2}, {"sku": "b", "stock": 1}, {"sku": "c", "stock": 3}]
    upsert(Good, rows, on=["sku"], on_conflict=policy)
    new = {sku: (created, updated) for sku, created, updated in goods("sku", "created_at", "updated_at")}
    assert {sku: created for sku, (created, _) in new.items() if sku != "c"} == {sku: old[sku][0] for sku in "ab"}
    assert (new["a"][1] > old["a"][1]) == (policy == "replace")
    assert new["b"][1] == old["b"][1]
    assert min(new["c"]) > old["b"][1]
    state, _ = upsert_one(Good, {"sku": "a", "stock": 9}, on=["sku"], on_conflict=policy)
    assert state == ("updated" if policy == "replace" else "unchanged")
    assert (Good.objects.get(sku="a").updated_at > new["a"][1]) == (policy == "replace")


def test_defaults() -> None:
    """psqlextra: on_conflict_default_value, .._no_overwrite."""
    assert upsert_one(Good, {"sku": "a"}, on=["sku"])[0] == "inserted"
    assert goods("kind", "stock", "active") == [("new", 0, True)]
    Good.objects.update(kind="used", stock=5)
    assert upsert_one(Good, {"sku": "a"}, on=["sku"])[0] == "unchanged"
    assert upsert_one(Good, {"sku": "a", "name": "x"}, on=["sku"])[0] == "updated"
    assert goods("kind", "stock", "name") == [("used", 5, "x")]


# Columns


@POLICIES
def test_columns_of_other_names(policy: str) -> None:
    """psqlextra: on_conflict_custom_column_names, insert_with_different_column_name."""
    Parcel.objects.create(id=1, grams=1, label="there")
    for name in ("grams", "Weight in {g}"):
        rows = [{"id": 1, name: 5}, {"id": 2, name: 6}]
        upsert(Parcel, rows, on=["id"], on_conflict=policy)
        assert upsert_one(Parcel, {"id": 3, name: 7}, on=["id"], on_conflict=policy)[1] == 3
        grams = 5 if policy == "replace" else 1
        found = list(Parcel.objects.order_by("id").values_list("id", "grams", "label"))
        assert found == [(1, grams, "there"), (2, 6, ""), (3, 7, "")]


def test_columns_left_out() -> None:
    """pgbulk: upsert_objs_with_excluded_fields: by naming those that are taken."""
    for i in (1, 2):
        Good.objects.create(sku=str(i), extra={"n": i}, tags=["one", str(i)])
    instances = list(Good.objects.order_by("sku"))
    for good in instances:
        good.extra = {"n": "updated"}
        good.tags = ["updated"]
    assert counts(upsert(Good, instances, columns=["sku", "extra"], on=["sku"])) == (0, 2, 0, 0, 0)
    assert goods("extra", "tags") == [({"n": "updated"}, ["one", "1"]), ({"n": "updated"}, ["one", "2"])]
    rows = [{"sku": good.sku, "extra": None, "tags": ["x", None]} for good in instances]
    assert counts(upsert(Good, rows, on=["sku"], skip=["extra"])) == (0, 2, 0, 0, 0)
    assert goods("extra", "tags") == [({"n": "updated"}, ["x", None]), ({"n": "updated"}, ["x", None])]


@pytest.mark.parametrize("value", [{"a": 1}, [1, "x"], "text", "5", 5, None], ids=repr)
def test_json_is_the_same_by_load_and_by_row(value: Any) -> None:
    """pgbulk: objects_with_custom_db_field_types: a value of a JSON field is what `save` would make of it."""
    upsert(Good, [{"sku": "load", "extra": value}], on=["sku"])
    upsert_one(Good, {"sku": "row", "extra": value}, on=["sku"])
    Good.objects.create(sku="save", extra=value)
    assert goods("sku", "extra") == [("load", value), ("row", value), ("save", value)]


def test_constants_of_all_types() -> None:
    """A constant is what the same value in each row would be."""
    buyer = Buyer.objects.create(id=7, code="8")
    Buyer.objects.create(id=8, code="7")
    values = {
        "name": "50 % of %s", "extra": {"a": [1, "x"]}, "tags": ["x", "y, z"], "blob": b"x%", "active": False,
        "day": dt.date(2026, 1, 2), "weight": 1.5, "buyer": buyer, "kind": Good.Kind.USED, "stock": 3,
    }  # fmt: skip
    for name, value in values.items():
        assert counts(upsert(Good, [{"sku": name}], constants={name: value}, on=["sku"])) == (1, 0, 0, 0, 0), name
        found = getattr(Good.objects.get(sku=name), name)
        assert (bytes(found) if name == "blob" else found) == value, name
    assert Good.objects.count() == len(values)


def test_time_zones() -> None:
    """pgbulk: upsert_some_updates_unique_timezone_field: a field whose values are objects of its own."""
    CrontabSchedule.objects.create(id=1, timezone="US/Eastern", minute="1")
    rows = [{"id": i, "timezone": zoneinfo.ZoneInfo(name)} for i, name in ((1, "UTC"), (2, "Asia/Seoul"))]
    assert counts(upsert(CrontabSchedule, rows, on=["id"])) == (1, 1, 0, 0, 0)
    assert counts(upsert(CrontabSchedule, rows, on=["id"])) == (0, 0, 2, 0, 0)
    assert upsert_one(CrontabSchedule, {"id": 2, "timezone": zoneinfo.ZoneInfo("UTC")}, on=["id"]) == ("updated", 2)
    found = CrontabSchedule.objects.order_by("id").values_list("timezone", "minute")
    assert list(found) == [(zoneinfo.ZoneInfo("UTC"), "1"), (zoneinfo.ZoneInfo("UTC"), "*")]


def test_returned_values_are_converted_as_queries_are() -> None:
    """psqlextra: upsert_and_get_applies_converters."""
    row = {"id": 1, "timezone": "Asia/Seoul"}
    loaded = upsert(CrontabSchedule, [row], on=["id"], returning=["timezone", "hour"])
    assert [found.values for found in loaded.rows] == [(zoneinfo.ZoneInfo("Asia/Seoul"), "*")]


@pytest.fixture
def _more_columns() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shelf_buyer ADD beer varchar(50), ADD wine text NOT NULL DEFAULT '50 %'")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shelf_buyer DROP beer, DROP wine")


@pytest.mark.usefixtures("_more_columns")
@POLICIES
def test_columns_that_the_model_has_not(policy: str) -> None:
    """psqlextra: on_conflict_outdated_model, upsert_extra_columns_in_schema, bulk_upsert_extra_columns_in_schema."""
    for expected in ((2, 0, 0, 0, 0), (0, 0, 2, 0, 0)):
        loaded = upsert(Buyer, [{"code": "a"}, {"code": "b"}], on=["code"], on_conflict=policy, returning=["code"])
        assert counts(loaded) == expected
        assert upsert_one(Buyer, {"code": "c"}, on=["code"], on_conflict=policy)[0] in ("inserted", "unchanged")
    with connection.cursor() as cursor:
        cursor.execute("SELECT code, beer, wine FROM shelf_buyer ORDER BY code")
        assert cursor.fetchall() == [(code, None, "50 %") for code in "abc"]


def test_null_is_written() -> None:
    """pgbulk: update_floats_to_null, ints_to_null, chars_to_null."""
    Good.objects.create(sku="a", weight=1.5, ean="1", price=2, day=dt.date(2026, 1, 1), tags=[])
    row = {"sku": "a", "weight": None, "ean": None, "price": None, "day": None, "tags": None}
    assert counts(upsert(Good, [row], on=["sku"])) == (0, 1, 0, 0, 0)
    assert goods(*row) == [("a", None, None, None, None, None)]


# How rows are given


class ByIter:
    """Has nothing but __iter__."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


class ByGetItem:
    """Has nothing but __getitem__."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __getitem__(self, key: int) -> Any:
        return self.items[key]


def test_iterables() -> None:
    """psqlextra: bulk_upsert_accepts_iter_iterable, .._getitem_iterable. Ours refuses the latter, in words."""
    rows = [{"code": "a"}, {"code": "b"}]
    assert counts(upsert(Buyer, ByIter(rows), on=["code"])) == (2, 0, 0, 0, 0)
    with pytest.raises(BadInput, match="not from a ByGetItem: give a list of them"):
        upsert(Buyer, ByGetItem([*rows, {"code": "c"}]), on=["code"])  # type: ignore[arg-type]  # what it refuses
    assert sorted(Buyer.objects.values_list("code", flat=True)) == ["a", "b"]


def test_a_word_in_place_of_a_list() -> None:
    """A text is a list of one name, not of its letters."""
    rows = [{"code": "a", "name": "NA"}, {"code": "b", "name": "N"}]
    assert counts(upsert(Buyer, rows, on="code", null="NA")) == (2, 0, 0, 0, 0)
    assert list(Buyer.objects.order_by("code").values_list("code", "name")) == [("a", None), ("b", "N")]
    assert upsert_one(Buyer, {"code": "a", "name": "x"}, on="code")[0] == "updated"


def test_a_queryset_of_another_model() -> None:
    Buyer.objects.create(code="a", name="x")
    rows = Buyer.objects.values("code", "name")
    loaded = upsert(Good, rows, mapping={"code": "sku"}, on=["sku"])
    assert counts(loaded) == (1, 0, 0, 0, 0)
    assert goods("sku", "name") == [("a", "x")]


def test_many_rows() -> None:
    """pgbulk leaves batches to its caller; ours makes them, and gives the keys back over all of them."""
    rows = [{"sku": f"s{i:04}", "stock": i} for i in range(3000)]
    upsert(Good, rows[::2], on=["sku"])
    changed = [{**row, "stock": row["stock"] + 1} for row in rows]
    loaded = upsert(Good, changed, on=["sku"], returning=["sku", "stock"], options=Options(batch_size=400))
    assert counts(loaded) == (1500, 1500, 0, 0, 0)
    assert Changeset.objects.filter(run=loaded.run).count() == 2 * 8
    found = {row.values[0]: (row.values[1], row.inserted, row.key[0]) for row in loaded.rows}
    keys = dict(goods("sku", "pk"))
    assert found == {f"s{i:04}": (i + 1, i % 2 == 1, keys[f"s{i:04}"]) for i in range(3000)}
    assert goods("sku", "stock") == [(f"s{i:04}", i + 1) for i in range(3000)]


def test_from_asynchronous_code() -> None:
    """pgbulk: aupsert. Ours is called by sync_to_async, as Django's own transactions are."""

    async def load() -> Loaded:
        return await sync_to_async(upsert)(Buyer, [{"code": "a"}, {"code": "b"}], on=["code"], returning=["code"])

    loaded = async_to_sync(load)()
    assert counts(loaded) == (2, 0, 0, 0, 0)
    assert sorted(row.values[0] for row in loaded.rows) == ["a", "b"]
    assert sorted(Buyer.objects.values_list("code", flat=True)) == ["a", "b"]
