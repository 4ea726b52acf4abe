"""What was renamed by hand, and perhaps altered as well, is asked for: a new one would leave its data behind."""

import pytest

from ops.drift import catalog, comparing, history, planning, schema_findings
from ops.drift.measuring import Measure
from ops.drift.model import Choices, Finding, Objects
from tests.drift.damaging import asked, contents, damaged, execute, expected, look, opened, steps_of

pytestmark = pytest.mark.django_db

A = "ALTER TABLE public."
P, F, C = f"{A}shop_product ", f"{A}shop_favourite ", f"{A}shop_customer "


# What is missing, what it probably is, and the damage.
RENAMED = [
    ("shop_customer.code", "kode", [C + "RENAME code TO kode", C + "ALTER kode TYPE varchar(20)"]),
    ("shop_customer.created", "born", [C + "RENAME created TO born", C + "ALTER born TYPE date"]),
    ("shop_customer.vip", "very", [C + "RENAME vip TO very", C + "ALTER very DROP NOT NULL"]),
    ("shop_customer.nick", "nickname", [C + "RENAME nick TO nickname", C + "ALTER nickname TYPE text"]),
]


@pytest.mark.parametrize(("missing", "extra", "damage"), RENAMED, ids=[one[0] for one in RENAMED])
def test_a_column_that_was_renamed_and_altered_is_asked_for(
    want: Objects, missing: str, extra: str, damage: list[str]
) -> None:
    table, _, column = missing.partition(".")
    with damaged(*damage) as name:
        found = look(name, want)
        (finding,) = [one for one in found.findings if one.object == f"column public.{missing}"]
        assert (finding.code, finding.severity, steps_of(found.findings)) == ("S04", "error", [])
        assert [one.option for one in finding.choices] == [
            f"--rename {table}.{extra}={column}",
            f"--ignore 'S24:column public.{table}.{extra}'",
        ]
        before = asked(name, f"SELECT {extra}::text FROM {table} ORDER BY id")
        execute(name, steps_of(look(name, want, Choices(rename=(f"{table}.{extra}={column}",))).findings))
        assert asked(name, f"SELECT {column}::text FROM {table} ORDER BY id") == before


def test_of_two_that_are_missing_each_may_be_the_one_that_was_renamed(want: Objects) -> None:
    damage = [C + "DROP COLUMN nick", C + "RENAME code TO kode", C + "ALTER kode TYPE text"]
    with damaged(*damage) as name:
        found = look(name, want).of("S04")
        assert [one.object for one in found] == ["column public.shop_customer.code", "column public.shop_customer.nick"]
        again = look(name, want, Choices(rename=("shop_customer.kode=code",)))
        assert [(one.code, bool(one.steps)) for one in again.findings if one.object.endswith("nick")] == [("S03", True)]


@pytest.mark.parametrize(
    "choices",
    [Choices(ignore=("S24:column public.shop_customer.kode",)), Choices(value={"shop_customer.code": "new"})],
    ids=["ignored", "value"],
)
def test_what_is_said_to_be_no_rename_is_made(want: Objects, choices: Choices) -> None:
    with damaged(
        C + "RENAME code TO kode", C + "ALTER kode TYPE text", C + "DROP CONSTRAINT shop_customer_code_key"
    ) as name:
        found = look(name, want, choices)
        assert {one.code for one in found.findings} == {"S03", "S24"}


TABLES = [
    ["ALTER TABLE shop_tag RENAME TO shop_label", "ALTER TABLE shop_label ADD more integer"],
    ["ALTER TABLE shop_tag RENAME TO shop_label", "ALTER TABLE shop_label RENAME label TO words"],
    [
        "ALTER TABLE shop_product_tags DROP CONSTRAINT shop_product_tags_tag_id_fkey",
        "ALTER TABLE shop_tag RENAME TO shop_label",
        "ALTER TABLE shop_label RENAME label TO words",
    ],
]


@pytest.mark.parametrize("damage", TABLES, ids=["with more", "pointed to", "with its keys"])
def test_a_table_that_was_renamed_and_altered_is_asked_for(want: Objects, damage: list[str]) -> None:
    with damaged(*damage) as name:
        before = contents(name)
        found = look(name, want)
        (finding,) = found.of("S04")
        assert (finding.object, steps_of(found.findings)) == ("table public.shop_tag", [])
        assert [one.option for one in finding.choices] == [
            "--rename shop_label=shop_tag",
            "--ignore 'S24:table public.shop_label'",
        ]
        execute(name, steps_of(look(name, want, Choices(rename=("shop_label=shop_tag",))).findings))
        assert contents(name)["shop_tag"] == before["shop_label"]


def test_an_empty_table_that_is_like_one_that_is_gone_is_no_rename(want: Objects) -> None:
    with damaged("DROP TABLE shop_secret", "CREATE TABLE foo (id bigint, words text, more text)") as name:
        assert [one.code for one in look(name, want).findings] == ["S01", "S24"]


def moved(name: str, want: Objects, *renamed: str) -> list[Finding]:
    """Return what is found in a database of which other schemas are read as a plan reads them."""
    with opened(name) as own:
        have = catalog.read(own, ["public"])
        have |= planning.elsewhere(own, history.read(own), want, have, ["public"])
        choices = Choices(rename=renamed)
        differences = comparing.compare(want, have)
        return schema_findings.find(expected(want), have, differences, choices, Measure(own, 10))


def test_a_table_that_was_moved_to_another_schema_is_asked_for(want: Objects) -> None:
    with damaged("CREATE SCHEMA other", "ALTER TABLE shop_category SET SCHEMA other") as name:
        before = asked(name, "SELECT c::text FROM other.shop_category AS c ORDER BY id")
        (finding,) = moved(name, want)
        assert (finding.code, finding.object, finding.steps) == ("S04", "table public.shop_category", [])
        assert [one.option for one in finding.choices] == [
            "--rename 'other.shop_category=public.shop_category'",
            "--ignore 'S24:table other.shop_category'",
        ]
        execute(name, steps_of(moved(name, want, "other.shop_category=public.shop_category")))
        assert asked(name, "SELECT c::text FROM shop_category AS c ORDER BY id") == before
        assert moved(name, want) == []


def test_a_table_of_another_history_is_none_that_was_moved(want: Objects) -> None:
    with damaged(
        "CREATE SCHEMA tenant",
        "CREATE TABLE tenant.django_migrations (app text, name text)",
        "CREATE TABLE tenant.shop_secret (LIKE shop_secret INCLUDING ALL)",
        "DROP TABLE shop_secret",
    ) as name:
        assert [one.code for one in moved(name, want)] == ["S01"]


TYPES = [("ALTER TYPE shop_mood RENAME TO shop_moods", "shop_moods=shop_mood")]


@pytest.mark.parametrize(("damage", "renamed"), TYPES)
def test_a_type_that_was_renamed_is_asked_for(want: Objects, damage: str, renamed: str) -> None:
    with damaged(damage, "ALTER TABLE shop_customer ALTER mood SET DEFAULT 'bad'") as name:
        found = look(name, want)
        (finding,) = found.of("S04")
        assert (finding.object, steps_of(found.of("S04"))) == ("type public.shop_mood", [])
        assert [one.option for one in finding.choices] == [
            f"--rename '{renamed}'",
            "--ignore 'S24:type public.shop_moods'",
        ]
        execute(name, steps_of(look(name, want, Choices(rename=(renamed,))).findings))
        assert look(name, want).serious == []


def test_a_table_whose_name_another_has_by_now_is_not_renamed_to_it(want: Objects) -> None:
    damage = ["ALTER TABLE shop_secret RENAME TO shop_real", "CREATE VIEW shop_secret AS SELECT * FROM shop_real"]
    with damaged(*damage) as name:
        (finding,) = look(name, want, Choices(rename=("shop_real=shop_secret",))).of("S04")
        assert finding.steps == []
        assert finding.refused == "The name is that of the view shop_secret: rename that one, then run again."
