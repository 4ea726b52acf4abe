"""What differs without harm is told apart from what does not, and nothing that differs is missed."""

from typing import Any

import pytest
from django.db.utils import ProgrammingError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ops.drift import comparing
from ops.drift.model import Attributes, Objects
from tests.drift.damaging import tried

pytestmark = pytest.mark.django_db


# Each is one damage, and what has to be among the keys that differ.
DAMAGES = [
    ("DROP TABLE shop_secret", "table public.shop_secret"),
    ("DROP VIEW shop_sales", "view public.shop_sales"),
    ("DROP MATERIALIZED VIEW shop_totals", "index public.shop_totals_state"),
    ("DROP TRIGGER shop_favourite_touch ON shop_favourite", "trigger public.shop_favourite.shop_favourite_touch"),
    ("DROP FUNCTION shop_touch CASCADE", "function public.shop_touch()"),
    ("ALTER TABLE shop_tag DROP COLUMN label", "column public.shop_tag.label"),
    ("ALTER TABLE shop_tag ALTER label DROP NOT NULL", "column public.shop_tag.label"),
    ("ALTER TABLE shop_tag ALTER label SET DEFAULT 'x'", "column public.shop_tag.label"),
    ("ALTER TABLE shop_tag ALTER label TYPE varchar(90)", "column public.shop_tag.label"),
    ('ALTER TABLE shop_tag ALTER label TYPE text COLLATE "C"', "column public.shop_tag.label"),
    ("ALTER TABLE shop_tag ALTER id DROP IDENTITY", "column public.shop_tag.id"),
    ("ALTER TABLE shop_tag ALTER id SET GENERATED ALWAYS", "column public.shop_tag.id"),
    ("ALTER TABLE shop_tag RENAME label TO words", "column public.shop_tag.words"),
    ("ALTER TABLE shop_tag ADD COLUMN more text", "column public.shop_tag.more"),
    ("ALTER TABLE shop_secret SET UNLOGGED", "table public.shop_secret"),
    ("ALTER TABLE shop_secret NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY", "table public.shop_secret"),
    ("DROP POLICY shop_secret_all ON shop_secret", "policy public.shop_secret.shop_secret_all"),
    ("COMMENT ON COLUMN shop_customer.nick IS 'x'", "column public.shop_customer.nick"),
    ("DROP INDEX shop_product_low", "index public.shop_product_low"),
    ("DROP INDEX shop_product_live", "index public.shop_product_live"),
    ("CREATE INDEX more ON shop_tag (label)", "index public.more"),
    (
        "ALTER TABLE shop_product DROP CONSTRAINT shop_product_price",
        "constraint public.shop_product.shop_product_price",
    ),
    (
        "ALTER TABLE shop_product ALTER CONSTRAINT shop_product_category_fk NOT DEFERRABLE",
        "constraint public.shop_product.shop_product_category_fk",
    ),
    ("ALTER TABLE shop_favourite DISABLE TRIGGER ALL", "trigger public.shop_favourite.shop_favourite_touch"),
    ("ALTER TYPE shop_mood ADD VALUE 'best'", "type public.shop_mood"),
    ("ALTER SEQUENCE shop_numbers INCREMENT BY 5", "sequence public.shop_numbers"),
    ("CREATE TABLE more (n integer)", "table public.more"),
]


def test_a_catalogue_is_like_itself(want: Objects) -> None:
    assert len(want) > 70
    assert comparing.compare(want, want) == []
    assert all(comparing.same(one, one) for one in want.values())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=3, unique_by=lambda one: one[1]))
def test_every_damage_is_seen_whatever_else_is_broken(want: Objects, chosen: list[tuple[str, str]]) -> None:
    try:
        looked = tried(want, *(damage for damage, _ in chosen))
    except ProgrammingError:
        # One damage took away what another is done to.
        assume(False)
    seen = {one.key for one in comparing.compare(want, looked.have)}
    # What one damage added may have gone with another.
    assert {key for _, key in chosen if key in want or key in looked.have} <= seen
    # Each difference is told, by a finding of its own or by one that speaks for it.
    assert seen == {name for one in looked.findings if one.code[0] == "S" for name in one.claims}


def column(**more: Any) -> Attributes:
    one = {"kind": "column", "schema": "public", "table": "t", "name": "id", "type": "bigint", "not_null": True}
    return {**one, "default": None, "identity": "", "generated": "", "serial": False, "comment": None, **more}


def test_a_serial_is_as_good_as_an_identity() -> None:
    identity, serial = column(identity="d"), column(serial=True)
    plain = column(default="nextval('t_id_seq'::regclass)")
    assert comparing.differing(identity, serial) == ["serial"]
    assert comparing.differing(identity, plain) == ["serial"]
    assert comparing.same(identity, serial)
    assert comparing.same(serial, identity)
    assert not comparing.same(identity, column())
    assert not comparing.same(identity, column(serial=True, type="integer"))
    assert comparing.differing(identity, column(identity="a")) == ["identity"]


def test_what_is_not_said_is_not_compared() -> None:
    want = {
        "kind": "column",
        "schema": "public",
        "table": "t",
        "name": "id",
        "type": "bigint",
        "django": {"default": "1"},
    }
    assert comparing.same(want, column(default="1"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "CHECK (((state)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))",
            "CHECK (((state)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))",
        ),
        ('CHECK (("order" > 0))', "CHECK ((order > 0))"),
        ("''::character varying", "''::text"),
    ],
)
def test_a_definition_that_was_dumped_and_restored_is_the_same(one: str, other: str) -> None:
    assert comparing.loose(one) == comparing.loose(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CHECK ((price * (1 + tax)) > 0)", "CHECK (((price * 1) + tax) > 0)"),
        ("CHECK ((a AND (b OR c)))", "CHECK (((a AND b) OR c))"),
        ("CHECK ((name <> '(x)'::text))", "CHECK ((name <> 'x'::text))"),
        ('CHECK (("A" > 0))', "CHECK ((a > 0))"),
        ("lower((name)::text)", "upper((name)::text)"),
        ("CHECK ((n > 5))", "CHECK ((n > (5)::numeric))"),
    ],
)
def test_a_definition_that_means_something_else_is_not(one: str, other: str) -> None:
    assert comparing.loose(one) != comparing.loose(other)


def test_of_two_that_are_alike_each_is_matched_once(want: Objects) -> None:
    looked = tried(
        want, "ALTER INDEX shop_product_low RENAME TO a", "CREATE INDEX b ON shop_product (stock) WHERE stock < 5"
    )
    found = comparing.compare(want, looked.have)
    assert [(one.key, one.attributes, one.want is None) for one in found] == [
        ("index public.b", [], True),
        ("index public.shop_product_low", ["name"], False),
    ]
    assert comparing.harmless(found[1])
    assert not comparing.harmless(found[0])
    assert comparing.counterpart("index public.shop_product_low", want, looked.have) == "index public.a"
    assert (
        comparing.counterpart("index public.shop_product_live", want, looked.have) == "index public.shop_product_live"
    )


def test_an_index_that_is_not_valid_is_none_under_another_name(want: Objects) -> None:
    damage = [
        "ALTER INDEX shop_product_low RENAME TO shop_product_low_ccnew",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop_product_low_ccnew'::regclass",
    ]
    looked = tried(want, *damage)
    assert [(one.code, one.object, bool(one.steps)) for one in looked.findings] == [
        ("S06", "index public.shop_product_low_ccnew", True),
        ("S10", "index public.shop_product_low", True),
    ]
