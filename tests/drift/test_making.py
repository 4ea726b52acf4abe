"""What is read of a database makes it again: every exotic object, and each statement by itself."""

import pytest
from django.db import connection

from config.embedded.servers import StartError
from ops.drift import catalog, making
from ops.drift.model import Objects
from tests.drift.remaking import EXOTIC, EXOTIC_18, dumped, plain, remake, unmake, wrapped
from tests.ops.scratch import own_database, rows

pytestmark = pytest.mark.django_db

KINDS = {
    "collation",
    "column",
    "constraint",
    "function",
    "index",
    "materialized view",
    "policy",
    "rule",
    "schema",
    "sequence",
    "statistics",
    "table",
    "trigger",
    "type",
    "view",
}


def exotic() -> str:
    return EXOTIC + (EXOTIC_18 if connection.pg_version >= 180000 else "")


@pytest.mark.smoke
def test_a_database_with_everything_is_made_again_and_reads_equal() -> None:
    with own_database("making_a") as one, own_database("making_b") as other:
        rows(one, exotic())
        with wrapped(one) as opened:
            want = catalog.read(opened)
        with wrapped(other) as opened:
            assert remake(opened, want) == []
            assert plain(catalog.read(opened)) == plain(want)
        assert {attributes["kind"] for attributes in want.values()} == KINDS


def test_pg_dump_sees_no_difference_either() -> None:
    with own_database("making_a") as one, own_database("making_b") as other:
        rows(one, EXOTIC)
        rows(one, "DROP TABLE ops_repair")
        with wrapped(one) as opened:
            want = catalog.read(opened)
        with wrapped(other) as opened:
            assert remake(opened, want) == []
        try:
            assert dumped(other) == dumped(one)
        except StartError as exc:
            pytest.skip(str(exc))


def test_what_was_made_can_be_taken_away_again() -> None:
    with own_database("making_a") as one, wrapped(one) as opened:
        empty = catalog.read(opened)
        rows(one, exotic())
        assert unmake(opened, catalog.read(opened), empty) == []
        assert catalog.read(opened) == empty


SHOP = """
CREATE TABLE category (id integer PRIMARY KEY);
CREATE TABLE "order" (
    id integer PRIMARY KEY, category_id integer, "user" varchar(5) NOT NULL,
    CONSTRAINT fk FOREIGN KEY (category_id) REFERENCES category, CONSTRAINT above CHECK (id > 0),
    CONSTRAINT one_user UNIQUE ("user") DEFERRABLE
);
CREATE UNIQUE INDEX "By user" ON "order" (lower("user")) WHERE id > 5;
COMMENT ON INDEX "By user" IS 'one each';
CREATE TABLE parted (id integer, n integer) PARTITION BY LIST (id);
CREATE INDEX parted_n ON parted (n);
"""


@pytest.fixture
def shop() -> Objects:
    with own_database("making_shop") as name:
        rows(name, SHOP)
        with wrapped(name) as opened:
            return catalog.read(opened)


def test_a_foreign_key_or_check_is_added_unproven_where_that_is_asked(shop: Objects) -> None:
    fk, check, unique = (f"constraint public.order.{name}" for name in ("fk", "above", "one_user"))
    added = 'ALTER TABLE "public"."order" ADD CONSTRAINT'
    assert making.add_constraint(shop, fk, not_valid=True) == [
        f'{added} "fk" FOREIGN KEY (category_id) REFERENCES public.category(id) NOT VALID'
    ]
    assert making.add_constraint(shop, fk) == [f'{added} "fk" FOREIGN KEY (category_id) REFERENCES public.category(id)']
    assert making.add_constraint(shop, check, not_valid=True) == [f'{added} "above" CHECK ((id > 0)) NOT VALID']
    assert making.add_constraint(shop, unique, not_valid=True) == [f'{added} "one_user" UNIQUE ("user") DEFERRABLE']


def test_an_index_is_made_in_the_form_that_blocks_least_and_under_any_name(shop: Objects) -> None:
    rest = 'ON public."order" USING btree (lower(("user")::text)) WHERE (id > 5)'
    key = 'index public."By user"'
    assert making.create_index(shop, key) == [
        f'CREATE UNIQUE INDEX "By user" {rest}',
        'COMMENT ON INDEX "public"."By user" IS \'one each\'',
    ]
    assert making.create_index(shop, key, concurrently=True) == [f'CREATE UNIQUE INDEX CONCURRENTLY "By user" {rest}']
    assert making.create_index(shop, key, concurrently=True, name='a"b') == [
        f'CREATE UNIQUE INDEX CONCURRENTLY "a""b" {rest}'
    ]
    # The server makes no index of a partitioned table concurrently.
    assert making.create_index(shop, "index public.parted_n", concurrently=True) == [
        'CREATE INDEX "parted_n" ON public.parted USING btree (n)'
    ]


def test_a_column_is_added_with_a_value_for_the_rows_that_are_there(shop: Objects) -> None:
    assert making.create_column(shop, "column public.order.user", default="'none'") == [
        'ALTER TABLE "public"."order" ADD COLUMN "user" character varying(5) DEFAULT \'none\' NOT NULL',
        'ALTER TABLE "public"."order" ALTER COLUMN "user" DROP DEFAULT',
    ]


def test_a_table_gets_its_owner_only_when_asked(shop: Objects) -> None:
    owner = making.ident(shop["table public.order"]["owner"])
    assert making.owned_by(shop, "table public.order") == [f'ALTER TABLE "public"."order" OWNER TO {owner}']
    assert making.owned_by(shop, "column public.order.id") == []
    assert not [one for one in making.create(shop, "table public.order") if "OWNER" in one]


@pytest.mark.parametrize("text", ["it's", "100%", "a\\b", "\\'", "two\nlines", "가나다"])
def test_a_text_means_itself_whatever_the_settings_say(text: str) -> None:
    with connection.cursor() as cursor:
        for standard in ("on", "off"):
            cursor.execute(f"SET LOCAL standard_conforming_strings = {standard}")
            cursor.execute(f"SELECT {making.literal(text)}")
            assert cursor.fetchone() == (text,)


def test_what_no_server_was_asked_about_is_made_by_djangos_spelling() -> None:
    at = {"schema": "public", "table": "t"}
    known = {
        "table public.t": {"kind": "table", "schema": "public", "name": "t"},
        "column public.t.id": {
            "kind": "column", **at, "name": "id", "type": "bigint", "not_null": True, "identity": "d"},
        "column public.t.n": {"kind": "column", **at, "name": "n", "type": "integer", "django": {"default": "5"}},
        "constraint public.t.c": {"kind": "constraint", **at, "name": "c", "contype": "c", "django": {
            "definition": 'CHECK ("n" > 0)'}},
        "index public.i": {"kind": "index", **at, "name": "i", "django": {
            "definition": 'CREATE INDEX ? ON "public"."t" ("n") WHERE "n" > 1'}},
    }  # fmt: skip
    assert making.create(known, "table public.t") == [
        'CREATE TABLE "public"."t" ("id" bigint GENERATED BY DEFAULT AS IDENTITY NOT NULL, "n" integer DEFAULT 5)'
    ]
    assert making.create(known, "constraint public.t.c") == [
        'ALTER TABLE "public"."t" ADD CONSTRAINT "c" CHECK ("n" > 0)'
    ]
    assert making.create(known, "index public.i") == ['CREATE INDEX "i" ON "public"."t" ("n") WHERE "n" > 1']
