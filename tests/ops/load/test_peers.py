"""What the public test suites of django-pgbulk and django-postgres-extra check for upserts, checked of ours.

Looked up in AmbitionEng/django-pgbulk (pgbulk/tests/test_core.py: upsert) and SectorLabs/django-postgres-extra
(tests/test_on_conflict.py, test_on_conflict_update.py, test_on_conflict_nothing.py, test_upsert.py, test_insert.py,
test_conditional_unique_index.py). Each behaviour is named beside its test: `pgbulk:` or `psqlextra:` and their name.

Ours differs on purpose where a docstring says so. What theirs have and ours has not: a queryset in place of the model
(pgbulk, where its filter changes nothing), hstore keys as conflict targets (an expression index does it), model
instances as a result (`Loaded.rows` has keys and values, a batch at a time), and `copy` and `update`, which are no
upserts.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from ops.engine.parameters import BadParameters
from ops.load import BadInput, Loaded, upsert, upsert_one
from ops.models import Run
from tests.shelf.models import Base, Buyer, Counter, Derived, Good, Hit, Member, Parcel, Slot

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = pytest.mark.parametrize("policy", ["replace", "keep"])
"""psqlextra's ConflictAction.UPDATE and NOTHING."""


def counts(loaded: Loaded) -> tuple[int, ...]:
    """Return inserted, updated, unchanged, merged, rejected; they must add up to the lines."""
    found = (loaded.inserted, loaded.updated, loaded.unchanged, loaded.merged, loaded.rejected)
    assert sum(found) == loaded.lines
    return found


def goods(*names: str) -> list[tuple[Any, ...]]:
    return list(Good.objects.order_by("sku").values_list(*names))


def returned(loaded: Loaded) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return the values of the rows that were inserted, and of those that were updated."""
    rows = list(loaded.rows)
    return sorted(row.values for row in rows if row.inserted), sorted(row.values for row in rows if not row.inserted)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def three() -> None:
    for i in range(3):
        Good.objects.create(sku=str(i), name="-1", weight=-1, stock=7)


ROWS = [{"sku": str(i), "name": str(i), "weight": float(i)} for i in range(3)]

# No rows at all


@pytest.mark.parametrize(
    "make", [list, iter, lambda rows: (row for row in rows)], ids=["list", "iterator", "generator"]
)
def test_no_rows(make: Callable[[list[Any]], Iterable[Any]]) -> None:
    """pgbulk: return_upserts_none, return_multi_unique_fields; psqlextra: upsert_bulk_no_rows, duplicate_rows ([])."""
    loaded = upsert(Good, make([]), columns=["sku", "weight"], on=["sku"], returning=["sku"])
    assert (counts(loaded), list(loaded.rows)) == ((0, 0, 0, 0, 0), [])
    assert counts(upsert(Slot, make([]), columns=["place", "box"], on=["place", "box"])) == (0, 0, 0, 0, 0)
    assert (Good.objects.count(), Slot.objects.count()) == (0, 0)


def test_no_rows_of_no_column() -> None:
    """pgbulk: upsert_w_blank_arguments. Theirs looks at no name where there is no row; ours does."""
    with pytest.raises(BadParameters, match="'field' is no field of"):
        upsert(Good, [], columns=["field"], on=["field"])
    assert Run.objects.count() == 0


def test_nothing_in_place_of_rows() -> None:
    """psqlextra: upsert_bulk_no_rows (rows=None). Theirs takes it for no rows; ours for a mistake."""
    with pytest.raises(BadInput, match="not from a NoneType"):
        upsert(Good, None, columns=["sku"], on=["sku"])  # type: ignore[arg-type]  # the mistake


# What becomes of rows that are there


def test_all_rows_are_new() -> None:
    """pgbulk: upsert_no_updates; psqlextra: on_conflict_bulk."""
    assert counts(upsert(Good, ROWS, on=["sku"])) == (3, 0, 0, 0, 0)
    assert goods("sku", "name", "weight") == [("0", "0", 0.0), ("1", "1", 1.0), ("2", "2", 2.0)]


def test_all_rows_are_there(three: None) -> None:
    """pgbulk: upsert_all_updates_unique_int_field, update_fields_returning; psqlextra: bulk_upsert."""
    known = set(Good.objects.values_list("pk", flat=True))
    loaded = upsert(Good, ROWS, on=["sku"], returning=["sku", "name", "weight"])
    assert counts(loaded) == (0, 3, 0, 0, 0)
    assert returned(loaded) == ([], [("0", "0", 0.0), ("1", "1", 1.0), ("2", "2", 2.0)])
    assert {row.key[0] for row in loaded.rows} == known
    assert goods("sku", "name", "weight", "stock") == [(str(i), str(i), float(i), 7) for i in range(3)]


def test_one_column_is_updated(three: None) -> None:
    """pgbulk: upsert_all_updates_.._update_float_field: by the columns that are given."""
    instances = [Good(sku=row["sku"], name=row["name"], weight=row["weight"]) for row in ROWS]
    assert counts(upsert(Good, instances, columns=["sku", "weight"], on=["sku"])) == (0, 3, 0, 0, 0)
    assert goods("name", "weight", "stock") == [("-1", float(i), 7) for i in range(3)]


def test_a_column_is_inserted_but_not_updated(three: None) -> None:
    """pgbulk: upsert_some_updates_.._update_float_field (update_fields): by an expression that keeps what is there."""
    Good.objects.filter(sku="2").delete()
    rows: dict[str, Any] = {"source": ROWS, "on": ["sku"], "expressions": {"name": "target.name"}}
    assert counts(upsert(Good, **rows)) == (1, 2, 0, 0, 0)
    assert goods("name", "weight", "stock") == [("-1", 0.0, 7), ("-1", 1.0, 7), ("2", 2.0, 0)]
    # Such an expression adds nothing, so the same rows may be loaded again.
    assert counts(upsert(Good, **rows)) == (0, 0, 3, 0, 0)


def test_no_column_is_updated(three: None) -> None:
    """pgbulk: upsert_wo_update_fields, no_update_fields_returning; psqlextra: update_values_empty, condition_false."""
    loaded = upsert(
        Good, [*ROWS, {"sku": "3", "name": "3", "weight": 3.0}], on=["sku"], on_conflict="keep", returning=["sku"]
    )
    assert counts(loaded) == (1, 0, 3, 0, 0)
    assert returned(loaded) == ([("3",)], [])
    assert goods("sku", "name", "weight") == [("0", "-1", -1.0), ("1", "-1", -1.0), ("2", "-1", -1.0), ("3", "3", 3.0)]


def test_nothing_but_the_key_is_given(three: None) -> None:
    loaded = upsert(Hit, [{"digest": "a"}, {"digest": "b"}])
    assert counts(loaded) == (2, 0, 0, 0, 0)
    assert counts(upsert(Hit, [{"digest": "a"}, {"digest": "c"}])) == (1, 0, 1, 0, 0)
    assert sorted(Hit.objects.values_list("digest", "count")) == [("a", 1), ("b", 1), ("c", 1)]


def test_unchanged_rows_are_neither_written_nor_returned(three: None) -> None:
    """pgbulk: upsert_update_duplicate_fields_returning_(none|some)_updated (ignore_unchanged=True).

    Theirs writes and returns unchanged rows too unless told (.._ignore_dups); ours never does.
    """
    same = [{"sku": str(i), "name": "-1", "weight": -1.0} for i in range(3)]
    loaded = upsert(Good, same, on=["sku"], returning=["name"])
    assert (counts(loaded), returned(loaded)) == ((0, 0, 3, 0, 0), ([], []))
    same[2]["name"] = "0"
    loaded = upsert(Good, [*same, {"sku": "3", "name": "3", "weight": 3.0}], on=["sku"], returning=["name"])
    assert (counts(loaded), returned(loaded)) == ((1, 1, 2, 0, 0), ([("3",)], [("0",)]))
    assert goods("sku", "name") == [("0", "-1"), ("1", "-1"), ("2", "0"), ("3", "3")]


def test_inserted_and_updated_rows_are_told_apart(three: None) -> None:
    """pgbulk: upsert_return_created_values, list_of_values, created_updated_values; psqlextra: bulk_return."""
    Good.objects.exclude(sku="1").delete()
    (known,) = Good.objects.values_list("pk", flat=True)
    loaded = upsert(Good, ROWS, on=["sku"], returning=["sku", "weight"])
    assert returned(loaded) == ([("0", 0.0), ("2", 2.0)], [("1", 1.0)])
    keys = {row.values[0]: row.key[0] for row in loaded.rows}
    assert keys == dict(goods("sku", "pk"))
    assert keys["1"] == known
    # Updated, a row keeps its key.
    again = upsert(Good, [{**row, "name": "x"} for row in ROWS], on=["sku"], returning=["sku"])
    assert {row.values[0]: row.key[0] for row in again.rows} == keys


def test_what_is_not_given_stays(three: None) -> None:
    """psqlextra: on_conflict_partial_get, on_conflict_default_value_no_overwrite."""
    assert counts(upsert(Good, [{"sku": "0", "name": "x"}], on=["sku"])) == (0, 1, 0, 0, 0)
    assert goods("sku", "name", "weight", "stock")[0] == ("0", "x", -1.0, 7)


# Expressions and conditions


def test_expressions() -> None:
    """pgbulk: func_field_upsert; psqlextra: upsert_with_update_values, bulk_upsert_update_values."""
    rows = [{"sku": "a", "stock": 0}, {"sku": "b", "stock": 0}]

    def load(many: int, **expressions: str) -> tuple[int, ...]:
        # The same rows twice would add twice, so ours has to be told that this is meant.
        return counts(upsert(Good, rows[:many], on=["sku"], expressions=expressions, again=True))

    upsert(Good, rows[:1], on=["sku"])
    assert load(1, stock="target.stock + 1") == (0, 1, 0, 0, 0)
    assert goods("sku", "stock") == [("a", 1)]
    assert load(2, stock="target.stock + 30") == (1, 1, 0, 0, 0)
    assert goods("sku", "stock") == [("a", 31), ("b", 0)]
    # One sees the row as it was before: the second is of the old stock, and of a column that is not loaded.
    assert load(2, stock="target.stock + 1", weight="target.stock - 2") == (0, 2, 0, 0, 0)
    assert goods("sku", "stock", "weight") == [("a", 32, 29.0), ("b", 1, -2.0)]
    assert counts(upsert(Good, [{"sku": "a", "stock": 32}], on=["sku"])) == (0, 0, 1, 0, 0)


def test_an_update_upon_a_condition() -> None:
    """psqlextra: upsert_with_update_condition (also with_q_object), whose condition is an expression of ours."""
    Member.objects.create(email="joe", rank=1, left=False)
    row = {"email": "joe", "rank": 2, "left": True}
    same = "CASE WHEN target.left = excluded.left THEN excluded.rank ELSE target.rank END"
    keep = {"expressions": {"rank": same, "left": "target.left"}, "on": ["shelf_member_email"]}
    assert upsert_one(Member, row, **keep)[0] == "unchanged"
    assert counts(upsert(Member, [row], **keep)) == (0, 0, 1, 0, 0)
    assert list(Member.objects.values_list("rank", "left")) == [(1, False)]
    there = {"rank": "CASE WHEN NOT target.left THEN excluded.rank ELSE target.rank END"}
    assert upsert_one(Member, row, on=["shelf_member_email"], expressions=there)[0] == "updated"
    assert list(Member.objects.values_list("rank", "left")) == [(2, True)]


# The same row twice


@POLICIES
def test_a_key_twice_in_one_call(policy: str) -> None:
    """psqlextra: on_conflict_nothing_duplicate_rows. Theirs and pgbulk fail on it where they update; ours merges."""
    rows = [{"sku": "a", "stock": 1}, {"sku": "a", "stock": 2}]
    for make, expected in (
        (list, (1, 0, 0, 1, 0)),
        (iter, (0, 0, 1, 1, 0)),
        (lambda r: (x for x in r), (0, 0, 1, 1, 0)),
    ):
        assert counts(upsert(Good, make(rows), on=["sku"], on_conflict=policy)) == expected
    assert goods("sku", "stock") == [("a", 2)]


def test_a_key_twice_by_expression() -> None:
    """Two rows of one key that the index alone knows to be one."""
    rows = [{"email": "A@x", "name": "1"}, {"email": "a@X", "name": "2"}, {"email": "b", "name": "3"}]
    assert counts(upsert(Member, rows, on=["shelf_member_email"], duplicates="first")) == (2, 0, 0, 1, 0)
    assert sorted(Member.objects.values_list("email", "name")) == [("A@x", "1"), ("b", "3")]


# Keys of all kinds


def test_a_key_of_two_columns() -> None:
    """pgbulk: upsert_some_updates_unique_int_char_field, no_updates_..; psqlextra: unique_together."""
    for i in range(2):
        Slot.objects.create(place=str(i), box=i, v=-1)
    rows = [{"place": str(i), "box": i, "v": i} for i in range(3)]
    assert counts(upsert(Slot, rows, on=["box", "place"])) == (1, 2, 0, 0, 0)
    moved = [{**row, "box": row["box"] + 3} for row in rows]
    assert counts(upsert(Slot, moved, on=["place", "box"])) == (3, 0, 0, 0, 0)
    found = sorted(Slot.objects.values_list("place", "box", "v"))
    assert found == sorted([*((str(i), i, i) for i in range(3)), *((str(i), i + 3, i) for i in range(3))])


@POLICIES
def test_a_key_of_two_foreign_keys(policy: str) -> None:
    """psqlextra: on_conflict_unique_together_fk; pgbulk: non_concrete_field (a group has many-to-many fields)."""
    kind = ContentType.objects.create(app_label="peers", model="peer")
    assert counts(upsert(Group, [{"name": "one"}, {"name": "two"}], on_conflict=policy)) == (2, 0, 0, 0, 0)
    rights = [{"content_type_id": kind.pk, "codename": name, "name": name} for name in ("a", "b")]
    assert counts(upsert(Permission, rights, on=["content_type", "codename"])) == (2, 0, 0, 0, 0)
    groups = list(Group.objects.order_by("name").values_list("pk", flat=True))
    own = Permission.objects.filter(content_type=kind).order_by("codename").values_list("pk", flat=True)
    pairs = [{"group_id": group, "permission_id": right} for group in groups for right in own]
    through = Group.permissions.through
    target = {"on": ["group_id", "permission_id"], "on_conflict": policy}
    first = upsert(through, pairs, **target, returning=["pk"])
    assert counts(first) == (4, 0, 0, 0, 0)
    assert counts(upsert(through, pairs, **target)) == (0, 0, 4, 0, 0)
    assert [upsert_one(through, pair, **target)[1] for pair in pairs] == [row.key[0] for row in first.rows]
    assert sorted(through.objects.values_list("group", "permission")) == sorted((g, r) for g in groups for r in own)


@pytest.mark.parametrize("on", ["pk", "id", ""])
@POLICIES
def test_the_primary_key(policy: str, on: str) -> None:
    """psqlextra: on_conflict_pk_conflict_target, default_value: "pk" is the primary key, of whatever name."""
    row = {"id": 0, "note": "beer"}
    target = {"on": [on] if on else [], "on_conflict": policy}
    assert upsert_one(Counter, row, **target) == ("inserted", 0)
    assert upsert_one(Counter, row, **target) == ("unchanged", 0)
    assert counts(upsert(Counter, [row, {"id": 1, "note": "wine"}], **target)) == (1, 0, 1, 0, 0)
    assert sorted(Counter.objects.values_list("id", "v", "note")) == [(0, 0, "beer"), (1, 0, "wine")]


def test_a_primary_key_of_text() -> None:
    """psqlextra: upsert_explicit_pk, insert_explicit_pk, insert_on_conflict_explicit_pk."""
    assert upsert_one(Hit, {"digest": "the-object", "label": "cheers"}) == ("inserted", "the-object")
    assert upsert_one(Hit, {"digest": "the-object", "label": "boo"}) == ("updated", "the-object")
    assert counts(upsert(Hit, [{"digest": "the-object", "label": "yes"}])) == (0, 1, 0, 0, 0)
    assert list(Hit.objects.values_list("digest", "label", "count")) == [("the-object", "yes", 1)]


@pytest.mark.parametrize("name", ["base_ptr", "base_ptr_id"])
@POLICIES
def test_a_primary_key_that_is_a_foreign_key(policy: str, name: str) -> None:
    """psqlextra: on_conflict_nothing_foreign_primary_key, update_foreign_key_by_id, upsert_one_to_one_field."""
    base = Base.objects.create(code="x")
    rows = [{name: base.pk, "size": 1}]
    target = {"on": [name], "on_conflict": policy}
    assert counts(upsert(Derived, rows, **target)) == (1, 0, 0, 0, 0)
    assert counts(upsert(Derived, rows, **target)) == (0, 0, 1, 0, 0)
    state = "updated" if policy == "replace" else "unchanged"
    assert upsert_one(Derived, {name: base.pk, "size": 2}, **target) == (state, base.pk)
    assert list(Derived.objects.values_list("pk", "code", "size")) == [(base.pk, "x", 2 if policy == "replace" else 1)]


@pytest.mark.parametrize("one", [False, True], ids=["load", "row"])
@POLICIES
def test_a_foreign_key_by_id_and_by_object(policy: str, one: bool) -> None:
    """psqlextra: on_conflict_foreign_key, .._foreign_key_by_object, .._by_id."""

    def load(row: dict[str, Any]) -> None:
        if one:
            upsert_one(Good, row, on=["sku"], on_conflict=policy)
        else:
            assert upsert(Good, [row], on=["sku"], on_conflict=policy).rejected == 0

    # Its text is the key of another.
    buyer = Buyer.objects.create(id=7, code="8")
    Buyer.objects.create(id=8, code="7")
    load({"sku": "by id", "buyer_id": buyer.pk})
    load({"sku": "by name", "buyer": buyer.pk})
    load({"sku": "by object", "buyer": buyer})
    assert goods("sku", "buyer_id") == [("by id", 7), ("by name", 7), ("by object", 7)]


@pytest.fixture
def _conditional() -> Iterator[None]:
    execute("CREATE UNIQUE INDEX peers_both ON shelf_parcel (label, sent) WHERE sent IS NOT NULL")
    execute("CREATE UNIQUE INDEX peers_label ON shelf_parcel (label) WHERE sent IS NULL")
    yield
    execute("DROP INDEX peers_both; DROP INDEX peers_label")


@pytest.mark.usefixtures("_conditional")
@pytest.mark.parametrize("named", [False, True], ids=["fields", "index"])
@pytest.mark.parametrize("one", [False, True], ids=["load", "row"])
def test_two_conditional_indexes(named: bool, one: bool) -> None:
    """psqlextra: cui_upserting (index_predicate). Ours finds the index by its columns, or is told its name."""
    day = dt.date(2026, 1, 1)

    def load(on: list[str], **row: Any) -> None:
        if one:
            assert upsert_one(Parcel, row, on=on)[0] in ("inserted", "updated")
        else:
            assert upsert(Parcel, [row], on=on).rejected == 0

    def parcels() -> list[tuple[Any, ...]]:
        return sorted(Parcel.objects.values_list("label", "sent", "grams"), key=str)

    null, both = (["peers_label"], ["peers_both"]) if named else (["label"], ["label", "sent"])
    load(null, label="a", grams=1)
    load(null, label="a", grams=2)
    assert parcels() == [("a", None, 2)]
    load(both, label="a", sent=day, grams=1)
    load(both, label="a", sent=day, grams=3)
    assert parcels() == sorted([("a", None, 2), ("a", day, 3)], key=str)


def test_a_target_that_is_none() -> None:
    """psqlextra: on_conflict_invalid_target."""
    for on, said in (
        (["cookie"], "no field 'cookie'"),
        (["name"], "no unique key"),
        (["sku", "name"], "no unique key"),
    ):
        with pytest.raises(BadParameters, match=said):
            upsert(Good, [{"sku": "a", "name": "b"}], on=on)
        with pytest.raises(BadParameters, match=said):
            upsert_one(Good, {"sku": "a", "name": "b"}, on=on)
    assert Good.objects.count() == 0
