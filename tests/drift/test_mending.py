"""A repair that was killed is gone on with, what it left is known by its name, and an undo loses no row."""

import time
from threading import Thread

import psycopg2
import pytest

from ops.drift import comparing, mending
from ops.drift.measuring import Measure
from ops.drift.mending_work import helper
from ops.drift.model import Choices, Objects, Step
from tests.drift.damaging import (
    HEALTHY,
    asked,
    connected,
    contents,
    damaged,
    differences,
    execute,
    extras,
    look,
    opened,
    read,
    run,
    steps_of,
    tried,
    undo,
)

pytestmark = pytest.mark.django_db

A = "ALTER TABLE public."
P, F, C = f"{A}shop_product ", f"{A}shop_favourite ", f"{A}shop_customer "


KILLED = [
    [P + "ALTER price DROP NOT NULL"],
    ["DROP INDEX shop_product_low", "CREATE INDEX shop_product_low ON shop_product (stock)"],
    [C + "DROP CONSTRAINT shop_customer_code_key"],
    [
        C + "DROP CONSTRAINT shop_customer_nick_key",
        C + "ADD CONSTRAINT shop_customer_nick_key UNIQUE (name, nick)",
    ],
    [P + "DROP CONSTRAINT shop_product_price", P + "ADD CONSTRAINT shop_product_price CHECK (price > -5)"],
    [P + "DROP CONSTRAINT shop_product_category_fk"],
    ["DROP TABLE shop_favourite CASCADE"],
    [P + "DROP COLUMN category_id"],
]


def invalid(name: str, step: Step) -> None:
    """Leave behind what a build leaves that is killed: an index that is there and not valid."""
    execute(name, [step])
    made = step.sql[0].split("CONCURRENTLY ")[1].split(" ")[0].strip('"')
    run(
        name, f"UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'public.{made}'::regclass"
    )


@pytest.mark.parametrize("damage", KILLED, ids=[one[-1][13:60] for one in KILLED])
def test_a_repair_that_was_killed_is_gone_on_with(want: Objects, damage: list[str]) -> None:
    with damaged(*damage) as name:
        before = contents(name)
        killed: set[str] = set()
        for _ in range(30):
            steps = steps_of(look(name, want).findings)
            if not steps:
                break
            # It is killed after each step, and once within each build.
            if steps[0].sql[0].startswith(("CREATE INDEX CONC", "CREATE UNIQUE INDEX CONC")) and (
                steps[0].object not in killed
            ):
                killed.add(steps[0].object)
                invalid(name, steps[0])
                steps = steps_of(look(name, want).findings)
            execute(name, steps[:1])
        assert differences(name, want) == []
        assert [one for one in extras(name, want) if "setwise_old" not in one] == []
        assert {table: len(rows) for table, rows in contents(name).items()} == {
            **{table: len(rows) for table, rows in before.items()},
            "shop_favourite": len(before.get("shop_favourite", [])),
        }


def test_an_invalid_index_is_built_again(want: Objects) -> None:
    with damaged("DROP INDEX shop_product_low") as name:
        run(name, "CREATE INDEX shop_product_low ON shop_product (stock) WHERE stock < 5")
        run(name, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop_product_low'::regclass")
        found = look(name, want)
        (finding,) = found.findings
        assert (finding.code, finding.severity) == ("S06", "warning")
        assert [one.transactional for one in finding.steps] == [False, False]
        execute(name, finding.steps)
        assert look(name, want).findings == []


def test_an_invalid_unique_index_over_duplicates_is_reported_alone(want: Objects) -> None:
    with damaged("DROP INDEX shop_product_live", P + "DROP CONSTRAINT shop_product_name") as name:
        run(name, "UPDATE shop_product SET name = 'same', state = 'new' WHERE id < 4")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            run(
                name,
                "CREATE UNIQUE INDEX CONCURRENTLY shop_product_live ON shop_product (name, lower(state)) "
                "INCLUDE (price) WHERE state = 'new'",
            )
        (finding,) = look(name, want).of("S06")
        assert "1 groups of duplicates" in finding.refused
        assert finding.steps == []


def test_an_index_that_is_being_built_is_left_alone(want: Objects) -> None:
    with damaged("DROP INDEX shop_product_low") as name, connected(name) as raw, raw.cursor() as cursor:
        cursor.execute("BEGIN; UPDATE shop_product SET stock = stock WHERE id = 1")
        build = "CREATE INDEX CONCURRENTLY shop_product_low ON shop_product (stock) WHERE stock < 5"
        building = Thread(target=run, args=(name, build))
        building.start()
        for _ in range(200):
            if asked(name, "SELECT 1 FROM pg_stat_progress_create_index WHERE index_relid <> 0"):
                break
            time.sleep(0.05)
        finding = look(name, want).of("S06")[0]
        cursor.execute("COMMIT")
        building.join()
        assert (finding.severity, finding.steps) == ("info", [])
        assert "being built at this moment" in finding.refused
        assert look(name, want).findings == []


@pytest.mark.parametrize("left", ["shop_product_low_ccnew", "setwise_new_anything", "foo"])
def test_an_invalid_index_of_nobody_is_dropped_where_its_name_tells(want: Objects, left: str) -> None:
    with damaged(f"CREATE INDEX {left} ON shop_product (stock)") as name:
        run(name, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{left}'::regclass")
        (finding,) = look(name, want).findings
        assert (finding.code, bool(finding.refused)) == ("S06", left == "foo")
        execute(name, finding.steps)
        assert (extras(name, want) == []) == (left != "foo")


def test_a_helper_that_was_left_is_dropped(want: Objects) -> None:
    name_of = helper("not_null", "shop_product", "price")
    with damaged(P + f"ADD CONSTRAINT {name_of} CHECK (price IS NOT NULL) NOT VALID") as name:
        execute(name, steps_of(look(name, want).findings))
        assert look(name, want).findings == []


def test_names_of_helpers_fit_and_differ() -> None:
    names = {helper("old", "t" * 60, f"{letter * 60}") for letter in "abcé"}
    assert len(names) == 4
    assert all(len(one.encode()) <= 63 and one.startswith("setwise_old_") for one in names)
    assert helper("old", "a") == helper("old", "a")


def test_an_undo_does_not_drop_what_rows_came_into(want: Objects) -> None:
    with damaged("DROP TABLE shop_secret", C + "DROP COLUMN vip") as name:
        steps = steps_of(look(name, want).findings)
        execute(name, steps)
        run(name, "INSERT INTO shop_secret (words) VALUES ('new')", "UPDATE shop_customer SET vip = true WHERE id = 1")
        by_object = {one.object: one for one in steps}
        with pytest.raises(psycopg2.errors.RaiseException, match="Table shop_secret has rows by now; it stays"):
            undo(name, [next(one for one in steps if one.phase == "table")])
        with pytest.raises(psycopg2.errors.RaiseException, match="Column vip of shop_customer holds values"):
            undo(name, [by_object["column public.shop_customer.vip"]])
        assert asked(name, "SELECT words FROM shop_secret") == [("new",)]


def test_what_is_there_needs_no_step(want: Objects) -> None:
    with opened(HEALTHY) as own:
        for key in want:
            mended = mending.make(key, want, want, code="S00", measure=Measure(own), choices=Choices())
            assert mended == mending.Mended()


def test_writers_are_not_kept_out(want: Objects) -> None:
    """Whoever reads and writes the table does so while each step that takes long is done."""
    looked = tried(want, P + "DROP CONSTRAINT shop_product_price", "DROP INDEX shop_product_low")
    titles = [(one.title, one.transactional) for one in steps_of(looked.findings)]
    assert titles == [
        ("add shop_product_price for new rows", True),
        ("build the index shop_product_low", False),
        ("validate shop_product_price", True),
    ]


def test_a_table_that_went_with_all_its_neighbours_is_made_whole(want: Objects) -> None:
    tables = "shop_product, shop_customer, shop_category, shop_favourite, shop_tag, shop_product_tags, shop_secret"
    with damaged(f"DROP TABLE {tables} CASCADE") as name:
        found = look(name, want)
        execute(name, steps_of(found.findings))
        assert comparing.compare(want, read(name)) == []


TYPES = [
    ("half double precision", "real", ""),
    ("day date", "timestamptz USING day::timestamp AT TIME ZONE 'UTC'", "2026-02-03T01:00Z"),
    ("token uuid DEFAULT gen_random_uuid()", "varchar(40) USING token::text", "no uuid"),
    ("token uuid", "varchar(40) USING token::text", "no uuid"),
    ("words varchar(10)[]", "text[]", '{"a longer word"}'),
    ("many bigint", "double precision", "0.5"),
    ("mood shop_mood", "text", "other"),
]


@pytest.mark.parametrize(("ought", "type_", "misfit"), TYPES, ids=[one[0] for one in TYPES])
def test_a_type_is_changed_if_every_value_stays_the_same(want: Objects, ought: str, type_: str, misfit: str) -> None:
    column, allowed = ought.split(maxsplit=1)[0], Choices(allow_rewrite=True)
    values = {"day": "2026-02-03", "token": "5b0c9e6e-0000-4000-8000-000000000001", "words": "{short}", "mood": "fine"}
    with damaged(f"ALTER TABLE shop_tag ADD {ought}") as name:
        whole = read(name)
        run(name, f"UPDATE shop_tag SET {column} = '{values.get(column, '2')}' WHERE id < 4")
        before = contents(name)
        run(name, f"ALTER TABLE shop_tag ALTER {column} DROP DEFAULT, ALTER {column} TYPE {type_}")
        run(name, *([f"ALTER TABLE shop_tag ALTER {column} SET DEFAULT 'x'"] if "DEFAULT" in ought else []))
        assert [one.steps for one in look(name, whole).of("S12")] == [[]]
        if misfit:
            run(name, f"UPDATE shop_tag SET {column} = '{misfit}' WHERE id = 3")
            (left,) = look(name, whole, allowed).of("S12")
            assert (left.steps, left.refused.startswith("1 values do not fit")) == ([], True)
            run(name, f"UPDATE shop_tag SET {column} = '{values.get(column, '2')}' WHERE id = 3")
        execute(name, steps_of(look(name, whole, allowed).findings))
        assert (look(name, whole).findings, contents(name)) == ([], before)


def test_a_repair_adds_labels_to_a_type(want: Objects) -> None:
    with damaged(
        "DROP TYPE shop_mood CASCADE", "CREATE TYPE shop_mood AS ENUM ('fine')", C + "ADD mood shop_mood"
    ) as name:
        execute(name, steps_of(look(name, want).findings))
        assert look(name, want).findings == []
