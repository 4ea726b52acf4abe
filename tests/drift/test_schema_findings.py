"""Each state of the schema that people get into: found by its code, mended, and not a row the worse for it."""

import pytest

from ops.drift.model import Choices, Objects
from tests.drift.damaging import (
    contents,
    damaged,
    differences,
    execute,
    look,
    read,
    run,
    steps_of,
    tried,
    undo,
)

pytestmark = pytest.mark.django_db

A = "ALTER TABLE public."
P, F, C = f"{A}shop_product ", f"{A}shop_favourite ", f"{A}shop_customer "


# Code, the object (a key without "public."), and what makes the state.
MENDED = [
    ("S01", "table shop_secret", ["DROP TABLE shop_secret"]),
    ("S01", "table shop_favourite", ["DROP TABLE shop_favourite CASCADE"]),
    ("S02", "table shop_category", ["DROP TABLE shop_category CASCADE"]),
    ("S08", "table shop_product_tags", ["DROP TABLE shop_product_tags"]),
    ("S03", "column shop_customer.vip", [C + "DROP COLUMN vip"]),
    ("S03", "column shop_customer.nick", [C + "DROP COLUMN nick"]),
    ("S03", "column shop_product.doubled", [P + "DROP COLUMN doubled"]),
    ("S03", "column shop_product.category_id", [P + "DROP COLUMN category_id"]),
    ("S05", "column shop_tag.id", [A + "shop_tag ALTER id DROP IDENTITY"]),
    ("S08", "constraint shop_product.shop_product_category_fk", [P + "DROP CONSTRAINT shop_product_category_fk"]),
    (
        "S08",
        "constraint shop_product.shop_product_category_fk",
        [P + "ALTER CONSTRAINT shop_product_category_fk NOT DEFERRABLE"],
    ),
    (
        "S09",
        "constraint shop_favourite.shop_favourite_product_fk",
        [
            F + "DROP CONSTRAINT shop_favourite_product_fk",
            F + "ADD CONSTRAINT shop_favourite_product_fk FOREIGN KEY (product_id) REFERENCES shop_product "
            "NOT VALID",
        ],
    ),
    ("S10", "index shop_product_low", ["DROP INDEX shop_product_low"]),
    ("S10", "index shop_customer_lower", ["DROP INDEX shop_customer_lower"]),
    (
        "S10",
        "index shop_product_low",
        ["DROP INDEX shop_product_low", "CREATE INDEX shop_product_low ON shop_product (stock) WHERE stock < 50"],
    ),
    ("S11", "index shop_product_live", ["DROP INDEX shop_product_live"]),
    ("S11", "constraint shop_customer.shop_customer_code_key", [C + "DROP CONSTRAINT shop_customer_code_key"]),
    ("S11", "constraint shop_product.shop_product_rank", [P + "DROP CONSTRAINT shop_product_rank"]),
    (
        "S11",
        "constraint shop_product.shop_product_rank",
        [P + "DROP CONSTRAINT shop_product_rank", P + "ADD CONSTRAINT shop_product_rank UNIQUE (rank)"],
    ),
    (
        "S11",
        "constraint shop_customer.shop_customer_nick_key",
        [
            C + "DROP CONSTRAINT shop_customer_nick_key",
            C + "ADD CONSTRAINT shop_customer_nick_key UNIQUE (name, nick)",
        ],
    ),
    ("S11", "constraint shop_product.shop_product_price", [P + "DROP CONSTRAINT shop_product_price"]),
    (
        "S11",
        "constraint shop_product.shop_product_price",
        [P + "DROP CONSTRAINT shop_product_price", P + "ADD CONSTRAINT shop_product_price CHECK (price > -5)"],
    ),
    ("S11", "constraint shop_favourite.shop_favourite_once", [F + "DROP CONSTRAINT shop_favourite_once"]),
    ("S11", "constraint shop_tag.shop_tag_pkey", [A + "shop_tag DROP CONSTRAINT shop_tag_pkey CASCADE"]),
    ("S13", "column shop_product.price", [P + "ALTER price DROP NOT NULL"]),
    ("S14", "column shop_customer.created", [C + "ALTER created DROP DEFAULT"]),
    ("S14", "column shop_product.stock", [P + "ALTER stock SET DEFAULT 7"]),
    ("S17", "view shop_sales", ["DROP VIEW shop_sales"]),
    ("S17", "materialized view shop_totals", ["DROP MATERIALIZED VIEW shop_totals"]),
    ("S17", "materialized view shop_totals", ["REFRESH MATERIALIZED VIEW shop_totals WITH NO DATA"]),
    ("S17", "trigger shop_favourite.shop_favourite_touch", ["DROP TRIGGER shop_favourite_touch ON shop_favourite"]),
    ("S17", "function shop_touch()", ["DROP FUNCTION shop_touch() CASCADE"]),
    ("S17", "sequence shop_numbers", ["DROP SEQUENCE shop_numbers CASCADE"]),
    ("S18", "table shop_secret", [A + "shop_secret SET UNLOGGED"]),
    ("S19", "table shop_secret", [A + "shop_secret DISABLE ROW LEVEL SECURITY"]),
    ("S19", "policy shop_secret.shop_secret_all", ["DROP POLICY shop_secret_all ON shop_secret"]),
    ("S20", "table shop_customer", ["COMMENT ON TABLE shop_customer IS NULL"]),
    ("S20", "column shop_customer.nick", ["COMMENT ON COLUMN shop_customer.nick IS 'other'"]),
    ("S22", "trigger shop_favourite.shop_favourite_touch", [F + "DISABLE TRIGGER shop_favourite_touch"]),
    ("S22", "constraint shop_product.shop_product_category_fk", [P + "DISABLE TRIGGER ALL"]),
    ("S22", "constraint shop_product.shop_product_rank", [P + "DISABLE TRIGGER ALL"]),
    ("S23", "column shop_tag.id", [A + "shop_tag ALTER id SET GENERATED ALWAYS"]),
    ("S12", "column shop_category.handle", [A + "shop_category ALTER handle TYPE varchar(20)"]),
]  # fmt: skip


def named(thing: str) -> str:
    kind, _, name = thing.rpartition(" ")
    return f"{kind} public.{name}"


@pytest.mark.parametrize(
    ("code", "thing", "damage"), MENDED, ids=[f"{one[0]} {one[1]} {len(one[2])}" for one in MENDED]
)
def test_a_damage_is_found_and_mended_and_taken_back_and_the_rows_stay(
    want: Objects, code: str, thing: str, damage: list[str]
) -> None:
    with damaged(*damage) as name:
        before, had = contents(name), read(name)
        found = look(name, want)
        mine = [one for one in found.of(code) if one.object == named(thing)]
        assert len(mine) == 1, found.findings
        assert (mine[0].refused, mine[0].migration) == ("", "shop.0001_initial")
        assert mine[0].steps != []
        steps = steps_of(found.findings)
        execute(name, steps)
        # Rows that point to what is gone are left, so that the foreign key to it is not validated.
        left = [named("constraint shop_product.shop_product_category_fk")] if code == "S02" else []
        assert differences(name, want) == left
        after = contents(name)
        for table, rows in before.items():
            assert len(after[table]) == len(rows), table
            if code != "S03":
                assert after[table] == rows
        again = look(name, want)
        serious = [one for one in again.serious if "setwise_old_" not in one.object]
        assert [(one.code, one.object, bool(one.refused)) for one in serious] == [
            (code, one, True) for one in left for code in ("S09", "D03")
        ]
        undo(name, steps)
        assert contents(name) == before
        # A constraint that was validated stays so, and a column as wide.
        if code not in ("S09", "S12"):
            now = read(name)
            assert differences(name, had) == []
            assert set(now) == set(had)


KEPT = [
    (
        "shop_product",
        "shop_product_price",
        [P + "DROP CONSTRAINT shop_product_price", P + "ADD CONSTRAINT shop_product_price CHECK (price > -5)"],
    ),
    (
        "shop_favourite",
        "shop_favourite_once",
        [
            F + "DROP CONSTRAINT shop_favourite_once",
            F + "ADD CONSTRAINT shop_favourite_once EXCLUDE USING gist (during WITH &&)",
        ],
    ),
]


@pytest.mark.parametrize(("table", "constraint", "damage"), KEPT, ids=[one[1] for one in KEPT])
def test_what_was_kept_and_may_refuse_rows_is_a_warning_with_what_drops_it(
    want: Objects, table: str, constraint: str, damage: list[str]
) -> None:
    with damaged(*damage) as name:
        execute(name, steps_of(look(name, want).findings))
        (finding,) = look(name, want).findings
        drop = f'ALTER TABLE "public"."{table}" DROP CONSTRAINT "setwise_old_{table}_{constraint}"'
        assert (finding.code, finding.severity, finding.steps) == ("S11", "warning", [])
        assert finding.refused == f"Drop it once {constraint} is what you want: {drop}."
        run(name, drop)
        assert look(name, want).findings == []


@pytest.mark.parametrize(
    ("damage", "severity", "words"),
    [
        ([C + "ENABLE ROW LEVEL SECURITY"], "warning", "there is no policy, so that nobody but its owner sees a row"),
        (
            [C + "ENABLE ROW LEVEL SECURITY", C + "FORCE ROW LEVEL SECURITY"],
            "error",
            "there is no policy, so that not even its owner sees a row",
        ),
        (
            [C + "ENABLE ROW LEVEL SECURITY", "CREATE POLICY mine ON shop_customer USING (vip)"],
            "warning",
            "who is not its owner sees only what a policy lets it",
        ),
        ([C + "FORCE ROW LEVEL SECURITY"], "info", "no matter"),
        ([A + "shop_secret FORCE ROW LEVEL SECURITY"], "warning", "even its owner sees only what a policy lets it"),
        ([A + "shop_secret DISABLE ROW LEVEL SECURITY"], "error", "has lost its row level security"),
    ],
)
def test_row_security_weighs_what_it_hides(want: Objects, damage: list[str], severity: str, words: str) -> None:
    (finding,) = tried(want, *damage).of("S19")
    assert (finding.severity, words in finding.found) == (severity, True)


def test_a_healthy_database_has_no_finding(want: Objects) -> None:
    with damaged() as name:
        assert look(name, want).findings == []


def test_choices_are_not_needed_where_nothing_is_refused(want: Objects) -> None:
    with damaged("DROP INDEX shop_product_low") as name:
        assert [one.code for one in look(name, want, Choices(allow_rewrite=True, identity=True)).findings] == ["S10"]
