"""What needs a thing that is left to a person waits for it: no step is planned that can't be done."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2
import pytest

from ops.drift.model import Choices, Objects, Step
from ops.drift.schema_findings_waiting import settle
from tests.drift.damaging import (
    asked,
    contents,
    damaged,
    differences,
    execute,
    expected,
    healthy_database,
    look,
    read,
    run,
    steps_of,
    tried,
)

pytestmark = pytest.mark.django_db

A = "ALTER TABLE public."
P, F, C = f"{A}shop_product ", f"{A}shop_favourite ", f"{A}shop_customer "
MORE = [
    "CREATE UNIQUE INDEX shop_product_few ON shop_product (name) WHERE stock < 0",
    "CREATE INDEX shop_product_upper ON shop_product (upper(state)) INCLUDE (rank)",
    "CREATE VIEW shop_prices AS SELECT p.id, p.price AS cost FROM shop_product AS p",
    "CREATE VIEW shop_costs AS SELECT s.cost FROM shop_prices AS s",
    "CREATE TRIGGER shop_product_touch BEFORE UPDATE OF price ON shop_product EXECUTE FUNCTION shop_touch()",
    "ALTER TABLE shop_product ALTER stock SET DEFAULT 0",
]  # fmt: skip


@pytest.fixture(scope="module")
def want(django_db_setup: None, django_db_blocker: Any) -> Iterator[Objects]:
    with django_db_blocker.unblock(), healthy_database() as name:
        run(name, *MORE)
        yield read(name)


def carried(name: str, steps: Sequence[Step]) -> None:
    """Do the steps as a repair would, one that wants what another makes after the others."""
    while steps:
        behind = []
        for step in steps:
            try:
                execute(name, [step])
            except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn):
                behind.append(step)
        assert len(behind) < len(steps), behind
        steps = behind


# What is damaged, what is left to a person, and what waits for what.
WAITING = [
    (
        [P + "DROP COLUMN price CASCADE"],
        "column shop_product.price",
        {
            "column shop_product.doubled": "column shop_product.price",
            "view shop_prices": "column shop_product.price",
            "view shop_costs": "view shop_prices",
            "trigger shop_product.shop_product_touch": "column shop_product.price",
        },
    ),
    (
        [A + "shop_tag DROP COLUMN id CASCADE"],
        "column shop_tag.id",
        {"constraint shop_product_tags.shop_product_tags_tag_id_fkey": "column shop_tag.id"},
    ),
    (
        [
            A + "shop_tag DROP CONSTRAINT shop_tag_pkey CASCADE",
            A + "shop_tag ALTER id DROP IDENTITY",
            "UPDATE shop_tag SET id = 1",
        ],
        "constraint shop_tag.shop_tag_pkey",
        {"constraint shop_product_tags.shop_product_tags_tag_id_fkey": "primary key shop_tag_pkey of shop_tag"},
    ),
    (
        [
            "DROP TABLE shop_customer CASCADE",
            "CREATE VIEW shop_customer AS SELECT 1 AS one",
        ],
        "table shop_customer",
        {},
    ),
    (
        [
            "DROP TABLE shop_product CASCADE",
            "CREATE SEQUENCE shop_product",
            "DROP TABLE shop_product_tags",
        ],
        "table shop_product",
        {
            "constraint shop_product_tags.shop_product_tags_product_id_fkey": "table shop_product",
            "view shop_sales": "table shop_product",
            "view shop_prices": "table shop_product",
            "materialized view shop_totals": "table shop_product",
        },
    ),
    (
        [
            F + "DROP CONSTRAINT shop_favourite_product_fk",
            F + "ALTER product_id TYPE text",
        ],
        "column shop_favourite.product_id",
        {
            "constraint shop_favourite.shop_favourite_product_fk": "column shop_favourite.product_id, which is text",
            "view shop_sales": "column shop_favourite.product_id, which is text",
        },
    ),
]  # fmt: skip


def named(thing: str) -> str:
    kind, _, name = thing.rpartition(" ")
    return f"{kind} public.{name}"


@pytest.mark.parametrize(("damage", "left", "waiting"), WAITING, ids=[one[1] for one in WAITING])
def test_what_needs_what_is_left_to_a_person_waits(
    want: Objects, damage: list[str], left: str, waiting: dict[str, str]
) -> None:
    with damaged("DROP VIEW shop_sales" if "TYPE" in damage[-1] else "SELECT 1", *damage) as name:
        before = contents(name)
        found = look(name, want)
        by_object = {one.object: one for one in found.findings if not one.code.startswith("D")}
        assert by_object[named(left)].refused
        said = {one.object: f"{one.refused} {one.action}" for one in by_object.values()}
        for thing, for_ in waiting.items():
            words = next(text for text in said.values() if f"waits for {for_}" in text)
            assert "left to you" in words
            assert not [one for one in steps_of(found.findings) if one.object == named(thing)], thing
        # All that is planned can be done, and nothing is left to do then.
        carried(name, steps_of(found.findings))
        again = look(name, want)
        assert steps_of(again.findings) == []
        assert set(map(named, waiting)) <= set(differences(name, want))
        assert not again.of("D03") or left != "column shop_tag.id"
        after = contents(name)
        assert {table: len(after[table]) for table in before} == {table: len(rows) for table, rows in before.items()}


def test_what_needs_a_finding_that_is_left_out_waits_too(want: Objects) -> None:
    """Whoever asks for some codes alone, or ignores a finding, gets no step that needs what it would have made."""
    damage = [P + "DROP COLUMN stock CASCADE", "DROP VIEW shop_costs, shop_prices", P + "DROP COLUMN price CASCADE"]
    found = tried(want, *damage, choices=Choices(value={"shop_product.price": "3"}))
    some = [one for one in found.findings if one.code == "S17"]
    assert len(steps_of(some)) == 3
    settle(some, expected(want), found.have)
    assert steps_of(some) == []
    assert {one.refused.partition(", which")[0] for one in some} == {
        "It waits for column shop_product.price",
        "It waits for view shop_prices",
    }
    again = [(one.refused, one.action) for one in some]
    settle(some, expected(want), found.have)
    assert [(one.refused, one.action) for one in some] == again


def test_a_key_that_another_finding_makes_is_not_waited_for(want: Objects) -> None:
    """A migration that is not recorded makes a table with its key, and a foreign key of another table goes there."""
    fk = "constraint public.shop_product_tags.shop_product_tags_tag_id_fkey"
    found = tried(want, A + "shop_tag DROP CONSTRAINT shop_tag_pkey CASCADE")
    some = [one for one in found.findings if one.object == fk]
    assert steps_of(some)
    settle(some, expected(want), found.have, elsewhere=["constraint public.shop_tag.shop_tag_pkey"])
    assert steps_of(some)
    settle(some, expected(want), found.have)
    assert steps_of(some) == []


def test_what_waited_is_made_with_what_it_waited_for(want: Objects) -> None:
    with damaged(P + "DROP COLUMN price CASCADE") as name:
        chosen = Choices(value={"shop_product.price": "3"})
        carried(name, steps_of(look(name, want, chosen).findings))
        assert look(name, want).findings == []
        assert asked(name, "SELECT DISTINCT doubled::text FROM shop_product") == [("6.00",)]


def test_a_unique_index_of_a_condition_comes_back_with_its_column(want: Objects) -> None:
    with damaged(P + "DROP COLUMN stock CASCADE") as name:
        found = look(name, want)
        (finding,) = found.findings
        assert (finding.code, finding.refused) == ("S03", "")
        assert "with it public.shop_product_few, public.shop_product_low" in finding.found
        carried(name, steps_of(found.findings))
        assert look(name, want).findings == []


def test_a_value_that_would_break_what_is_known_is_refused(want: Objects) -> None:
    """Unique indexes, checks and foreign keys over a column are held against what the rows get there."""
    damage = [
        P + "DROP COLUMN stock CASCADE",
        P + "DROP CONSTRAINT shop_product_name",
        "UPDATE shop_product SET state = 'old', name = 'x'",
    ]
    (finding,) = tried(want, *damage, choices=Choices(value={"shop_product.stock": "-1"})).of("S03")
    assert "The value that was given does not do. 1 groups of duplicates (name=x)" in finding.refused
    assert finding.steps == []
    for column, value, why in (("price", "-1", "50 rows break it"), ("category_id", "999", "50 rows point to what")):
        chosen = Choices(value={f"shop_product.{column}": value})
        found = tried(want, P + f"DROP COLUMN {column} CASCADE", choices=chosen)
        finding = next(one for one in found.of("S03") if one.object.endswith(f".{column}"))
        assert why in finding.refused
        assert steps_of(found.findings) == []
