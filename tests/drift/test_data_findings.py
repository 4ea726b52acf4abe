"""Sequences behind the rows are raised and never lowered; rows that point to nothing are counted and left."""

from collections.abc import Callable
from typing import Any

import pytest

from ops.drift.measuring import Measure
from ops.drift.model import Choices, Objects
from tests.drift.damaging import (
    asked,
    contents,
    damaged,
    execute,
    look,
    read,
    run,
    steps_of,
    tried,
)

pytestmark = pytest.mark.django_db


def test_a_sequence_behind_its_rows_is_raised(want: Objects) -> None:
    with damaged(
        "SELECT setval('shop_product_id_seq', 5)", "SELECT setval('shop_product_tags_id_seq', 1, false)"
    ) as name:
        before = contents(name)
        found = look(name, want)
        assert [(one.code, one.severity, one.object, one.found) for one in found.findings] == [
            (
                "D01",
                "error",
                "column public.shop_product.id",
                "The sequence of column shop_product.id gave 5; the largest key is 50.",
            ),
            (
                "D01",
                "error",
                "column public.shop_product_tags.id",
                "The sequence of column shop_product_tags.id gave nothing yet; the largest key is 100.",
            ),
        ]
        # Whoever was faster is not thrown back: what the server finds when it is done is what counts.
        run(name, "SELECT setval('shop_product_id_seq', 70)")
        execute(name, steps_of(found.findings))
        assert asked(name, "SELECT nextval('shop_product_id_seq'), nextval('shop_product_tags_id_seq')") == [(71, 101)]
        assert look(name, want).findings == []
        assert contents(name) == before


UNOWNED = [
    "ALTER TABLE shop_tag ALTER id DROP IDENTITY",
    'CREATE SEQUENCE "tag\'s"',
    """ALTER TABLE shop_tag ALTER id SET DEFAULT nextval('"tag''s"')""",
]


def test_a_sequence_that_no_column_owns_is_raised_where_its_values_may_be_there_but_once(want: Objects) -> None:
    with damaged(*UNOWNED) as name:
        (finding,) = [one for one in look(name, want).findings if one.severity != "info"]
        assert (finding.code, finding.object) == ("D01", "column public.shop_tag.id")
        ((top,),) = asked(name, "SELECT max(id) FROM shop_tag")
        execute(name, steps_of([finding]))
        assert asked(name, """SELECT nextval('"tag''s"')""") == [(top + 1,)]
        assert look(name, want).serious == []
    with damaged(*UNOWNED, "ALTER TABLE shop_tag DROP CONSTRAINT shop_tag_pkey CASCADE") as name:
        assert look(name, want).of("D01") == []


def test_a_sequence_before_its_rows_is_left(want: Objects) -> None:
    assert tried(want, "SELECT setval('shop_product_id_seq', 900)", "DELETE FROM shop_secret").findings == []
    run("drift_d_healthy", "SELECT setval('shop_product_id_seq', 50)")


def test_keys_that_rows_still_point_to_are_left_out_where_that_is_asked_for(want: Objects) -> None:
    """A table that was made again by hand begins at 1, and old products would be adopted by its rows."""
    with damaged("DROP TABLE shop_category CASCADE") as name:
        execute(name, [one for one in steps_of(look(name, want).findings) if one.phase in ("table", "constraint")])
        assert asked(name, "SELECT nextval('shop_category_id_seq')") == [(21,)]
        run(name, "ALTER SEQUENCE shop_category_id_seq RESTART")
        found = look(name, want)
        assert found.of("D01") == []
        (orphans,) = found.of("D03")
        assert orphans.found.endswith(
            "New rows of shop_category will get such keys and adopt them: its keys are at 0, theirs go up to 20."
        )
        assert (orphans.steps, [one.option for one in orphans.choices]) == ([], ["--redefine shop_category.id"])
        chosen = look(name, want, Choices(redefine=("shop_category.id",)))
        execute(name, steps_of(chosen.of("D03")))
        assert asked(name, "SELECT nextval('shop_category_id_seq')") == [(21,)]


LAST = 2**63 - 1


@pytest.mark.parametrize("key", [999, LAST])
def test_the_sequence_of_a_table_that_is_there_is_not_raised_for_orphans(want: Objects, key: int) -> None:
    lost = "ALTER TABLE shop_favourite DROP CONSTRAINT shop_favourite_product_fk"
    with damaged(lost, f"UPDATE shop_favourite SET product_id = {key} WHERE id = 1") as name:
        found = look(name, want)
        assert found.of("D01") == []
        (orphans,) = found.of("D03")
        assert f"theirs go up to {key:,}" in orphans.found
        execute(name, steps_of(found.findings))
        assert asked(name, "SELECT nextval('shop_product_id_seq')") == [(51,)]
        (chosen,) = look(name, want, Choices(redefine=("shop_product.id",))).of("D03")
        # To the end it is not raised, even where that is asked for.
        assert bool(chosen.steps) == (key == 999)
        assert ("can't go on above 9,223,372,036,854,775,807" in orphans.refused) == (key == LAST)


@pytest.mark.parametrize("key", [LAST, LAST - 1])
def test_a_table_is_not_made_again_above_a_key_at_the_end(want: Objects, key: int) -> None:
    wild = f"UPDATE shop_product_tags SET tag_id = {key} WHERE id = 1"
    (finding,) = tried(want, "DROP TABLE shop_tag CASCADE", wild).of("S02")
    assert finding.steps == []
    assert finding.refused == (
        f"The keys of new rows would have to begin above {key:,}, which a row of shop_product_tags has in tag_id, and "
        "bigint ends at 9,223,372,036,854,775,807: correct that row, then run again."
    )


def test_rows_that_come_while_it_is_read_are_no_drift(want: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    with damaged() as name:

        def busy(read: Callable[..., Any]) -> Callable[..., Any]:
            def reading(*words: Any) -> Any:
                found = read(*words)
                run(name, "INSERT INTO shop_tag (label) VALUES ('new')")
                return found

            return reading

        monkeypatch.setattr(Measure, "many_largest", busy(Measure.many_largest))
        monkeypatch.setattr(Measure, "sequences", busy(Measure.sequences))
        assert look(name, want).findings == []
        assert asked(name, "SELECT max(id) > 6 FROM shop_tag") == [(True,)]


def test_orphans_are_counted_and_left(want: Objects) -> None:
    with damaged("DROP TABLE shop_category CASCADE") as name:
        found = look(name, want)
        (finding,) = found.of("D03")
        assert (finding.object, finding.severity, finding.steps) == (
            "constraint public.shop_product.shop_product_category_fk",
            "error",
            [],
        )
        assert finding.found.startswith("50 rows of shop_product point by category_id to what is not in public.shop_c")
        assert finding.found.count("category_id=") == 5
        (table,) = found.of("S02")
        assert "50 rows of shop_product.category_id still point to its rows" in table.found
        before = contents(name)
        execute(name, steps_of(found.findings))
        assert contents(name)["shop_product"] == before["shop_product"]
        run(name, "INSERT INTO shop_category (handle) VALUES ('new')")
        assert asked(name, "SELECT id FROM shop_category") == [(21,)]
        # Nothing was adopted.
        assert look(name, want).of("D03")[0].found.startswith("50 rows")


@pytest.mark.parametrize(("damage", "key"), [("SELECT 1", 301), ("ALTER TABLE django_content_type DROP model", 9001)])
def test_keys_beside_a_content_type_are_not_given_again(want: Objects, damage: str, key: int) -> None:
    """Where the types can't be told apart, the keys beside any of them are left out."""
    with damaged(
        "CREATE TABLE django_content_type (id integer PRIMARY KEY, app_label text, model text)",
        "INSERT INTO django_content_type VALUES (7, 'shop', 'customer'), (8, 'shop', 'other')",
        "CREATE TABLE note (id integer, content_type_id integer REFERENCES django_content_type, object_id text)",
        "INSERT INTO note VALUES (1, 7, '300'), (2, 8, '9000'), (3, 7, 'word')",
    ) as name:
        whole = {**want, **{one: value for one, value in read(name).items() if one not in want}}
        run(name, "DROP TABLE shop_customer CASCADE", damage)
        execute(name, [one for one in steps_of(look(name, whole).of("S02")) if one.phase == "table"])
        assert asked(name, "SELECT nextval('shop_customer_id_seq')") == [(key,)]


def test_a_sequence_near_its_end_is_told(want: Objects) -> None:
    found = tried(
        want,
        "ALTER SEQUENCE shop_tag_id_seq MAXVALUE 100",
        "ALTER SEQUENCE shop_product_id_seq MAXVALUE 55",
    )
    assert [(one.code, one.severity, one.object) for one in found.findings] == [
        ("D02", "warning", "column public.shop_product.id"),
        ("D02", "info", "column public.shop_tag.id"),
    ]
