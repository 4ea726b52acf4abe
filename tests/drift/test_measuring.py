"""What is read of the rows is counted, bounded in time, and never guessed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ops.drift import catalog, measuring
from ops.drift.measuring import Measure
from ops.drift.measuring_fitting import rewrites, widens
from ops.drift.model import Objects
from tests.drift.damaging import HEALTHY, connected, healthy_database, opened, read

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def have(django_db_setup: None, django_db_blocker: Any) -> Iterator[Objects]:
    with django_db_blocker.unblock(), healthy_database() as name:
        yield read(name)


@contextmanager
def measured(*statements: str, seconds: float = 10) -> Iterator[tuple[Measure, Objects]]:
    with opened(HEALTHY) as own:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            for one in statements:
                cursor.execute(one)
        yield Measure(own, seconds), catalog.read(own, ["public"])
        own.rollback()


def test_rows_are_counted_exactly_up_to_a_bound(have: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    with measured("ANALYZE shop_product") as (measure, there):
        assert str(measure.rows(there["table public.shop_product"])) == "50"
        monkeypatch.setattr(measuring, "EXACT_UP_TO", 10)
        assert str(measure.rows(there["table public.shop_product"])) == "about 50"


def test_values_are_found_out(have: Objects) -> None:
    with measured("UPDATE shop_customer SET mood = 'fine' WHERE id < 4") as (measure, there):
        assert measure.nulls(there["column public.shop_customer.mood"]).count == 27
        assert measure.nulls(there["column public.shop_customer.name"]).none
        assert measure.holds(there["column public.shop_customer.mood"]) is True
        assert measure.holds(there["column public.shop_category.slug_note"]) is False
        assert measure.largest(there["column public.shop_product.id"]).count == 50
        assert measure.sequence(there["column public.shop_product.id"]).count == 50
        assert measure.installable("plpgsql") is True
        assert measure.installable("no_such_thing") is False
        assert measure.dependents(there["column public.shop_product.name"]) == ["public.shop_sales"]


def test_duplicates_honour_predicate_expressions_and_nulls(have: Objects) -> None:
    with measured(
        "ALTER TABLE shop_product DROP CONSTRAINT shop_product_name",
        "DROP INDEX shop_product_live",
        "UPDATE shop_product SET name = 'same', state = CASE WHEN id < 7 THEN 'new' ELSE 'old' END WHERE id < 12",
        "ALTER TABLE shop_customer DROP CONSTRAINT shop_customer_nick_key",
        "UPDATE shop_customer SET name = 'same', nick = NULL WHERE id < 3",
    ) as (measure, _):
        live = measure.duplicates(have["index public.shop_product_live"])
        assert (live.count, live.samples) == (1, ["name=same, lower((state)::text)=new"])
        nick = have["constraint public.shop_customer.shop_customer_nick_key"]
        assert measure.duplicates(nick).samples == ["name=same, nick=null"]
        distinct = {**nick, "index_definition": nick["index_definition"].replace(" NULLS NOT DISTINCT", "")}
        assert measure.duplicates(distinct).none


def test_checks_are_violated_by_what_is_false_and_not_by_what_is_null(have: Objects) -> None:
    with measured(
        "ALTER TABLE shop_product DROP CONSTRAINT shop_product_price, ALTER price DROP NOT NULL",
        "UPDATE shop_product SET price = -1 WHERE id < 3",
        "UPDATE shop_product SET price = NULL WHERE id = 3",
    ) as (measure, _):
        one = have["constraint public.shop_product.shop_product_price"]
        assert measure.violations(one).count == 2
        # The reduced mode knows no columns of a check.
        assert measure.violations({name: value for name, value in one.items() if name != "columns"}).samples == []


MORE = """ALTER TABLE shop_tag
    ADD day timestamptz DEFAULT '2026-02-03T00:00Z', ADD words text[] DEFAULT '{short,"a longer word"}',
    ADD half real DEFAULT 0.5, ADD doc json DEFAULT '{"a":  1}',
    ADD token varchar(40) DEFAULT '5B0C9E6E-0000-4000-8000-000000000001'"""


@pytest.mark.parametrize(
    ("column", "type_", "count"),
    [
        ("shop_product.name", "character varying(9)", 41),
        ("shop_product.name", "text", 0),
        ("shop_product.price", "numeric(10,1)", 1),
        ("shop_product.price", "numeric(3,2)", 41),
        ("shop_product.price", "integer", 1),
        ("shop_product.stock", "smallint", 0),
        ("shop_customer.created", "timestamp without time zone", 0),
        ("shop_product.stock", "real", 0),
        ("shop_product.price", "double precision", 0),
        ("shop_product.price", "money", 0),
        ("shop_product.name", "uuid", 50),
        ("shop_product.name", "integer", 50),
        ("shop_product.stock", "numeric(4,1)", 0),
        ("shop_customer.created", "date", 30),
        ("shop_customer.created", "timestamp(0) with time zone", 30),
        ("shop_customer.nick", "integer", 10),
        ("shop_tag.day", "date", 0),
        ("shop_tag.words", "character varying(10)[]", 5),
        ("shop_tag.words", "integer[]", 5),
        ("shop_tag.half", "double precision", 0),
        ("shop_tag.half", "integer", 5),
        ("shop_tag.token", "uuid", 0),
        ("shop_tag.doc", "jsonb", 0),
        ("shop_tag.doc", "text", 0),
    ],
)
def test_what_does_not_fit_another_type_is_counted(have: Objects, column: str, type_: str, count: int) -> None:
    with measured("UPDATE shop_product SET price = 5.25 WHERE id = 5", MORE) as (measure, there):
        assert measure.misfits(there[f"column public.{column}"], type_).count == count


def test_what_can_not_be_told_is_not_guessed(have: Objects) -> None:
    with measured() as (measure, there):
        found = measure.misfits(there["column public.shop_customer.created"], "integer")
        words = "cannot cast type timestamp with time zone to integer"
        assert (found.count, found.trouble) == (None, words)
        assert str(found) == "an unknown number of"


def test_a_server_that_can_not_try_a_text_is_asked_to_cast_all(have: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is before PostgreSQL 16: the first text that is no value is told."""
    monkeypatch.setattr(measuring, "PG16", 10**9)
    with measured(MORE) as (measure, there):
        assert measure.misfits(there["column public.shop_tag.token"], "uuid").none
        found = measure.misfits(there["column public.shop_product.name"], "uuid")
        assert (found.count, found.trouble) == (None, 'invalid input syntax for type uuid: "product 1"')


def test_a_read_that_takes_too_long_is_given_up(have: Objects) -> None:
    slow = "CREATE FUNCTION slow() RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT pg_sleep(1) IS NULL'"
    with measured(slow, seconds=0.2) as (measure, there):
        check = {**there["constraint public.shop_product.shop_product_price"], "definition": "CHECK (public.slow())"}
        assert measure.violations(check).trouble == "it takes longer than 0.2 s to read"


def test_nothing_waits_for_a_lock(have: Objects) -> None:
    with connected(HEALTHY) as raw, raw.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE shop_tag")
        with opened(HEALTHY) as own:
            found = Measure(own).nulls(have["column public.shop_tag.label"])
        cursor.execute("ROLLBACK")
    assert found.trouble == "another transaction holds a lock on it"


def test_a_thing_is_read_once(have: Objects) -> None:
    with measured() as (measure, there):
        column = there["column public.shop_customer.nick"]
        before = measure.nulls(column).count
        with measure.connection.cursor() as cursor:
            cursor.execute("UPDATE shop_customer SET nick = 'all'")
        assert measure.nulls(column).count == before


@pytest.mark.parametrize(
    ("have_type", "want_type", "wider", "anew"),
    [
        ("character varying(30)", "character varying(300)", True, False),
        ("character varying(300)", "character varying(30)", False, True),
        ("character varying(30)", "text", True, False),
        ("text", "character varying(30)", False, True),
        ("integer", "bigint", True, True),
        ("bigint", "integer", False, True),
        ("numeric(10,2)", "numeric(12,2)", True, False),
        ("numeric(10,2)", "numeric(12,4)", True, True),
        ("numeric(10,2)", "numeric(10,4)", False, True),
        ("numeric(10,2)", "numeric", True, False),
        ("timestamp with time zone", "timestamp without time zone", None, True),
        ("text", "uuid", None, True),
        ("real", "double precision", True, True),
        ("double precision", "real", False, True),
        ("integer", "double precision", True, True),
        ("bigint", "double precision", None, True),
        ("integer", "numeric(12,2)", True, True),
        ("integer", "numeric(10,2)", None, True),
        ("character varying(10)[]", "text[]", True, True),
    ],
)
def test_a_change_of_type_widens_or_not(have_type: str, want_type: str, wider: bool | None, anew: bool) -> None:
    assert (widens(have_type, want_type), rewrites(have_type, want_type)) == (wider, anew)
