"""What the doctor tells of the versions of tables; each test is named after its id."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from ops import checks
from ops.cache import triggers, versions
from ops.doctor import Finding
from tests.ops.cache.versioned import declared, tables, version
from tests.ops.doctor.conftest import execute, found, only

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    with tables():
        assert found("E048", "W048", "W049") == []
        yield


def mended() -> None:
    """Do what the finding says, after which it is gone."""
    call_command("migrate", verbosity=0, interactive=False)
    assert found("E048", "W048", "W049") == []


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("ALTER TABLE v_thing DISABLE TRIGGER ops_version", "is disabled"),
        ("ALTER TABLE v_thing ENABLE REPLICA TRIGGER ops_version", "is disabled"),
        (
            "ALTER TABLE v_thing ENABLE TRIGGER ops_version",
            "was disabled for a time, or does not fire for what is replicated",
        ),
        ("DROP TRIGGER ops_version ON v_thing", "is missing"),
        ("ALTER TRIGGER ops_version ON v_thing RENAME TO theirs", "is missing"),
    ],
)
def test_ops_w048_a_trigger_is_missing_altered_or_disabled(broken: str, why: str) -> None:
    before = version()
    execute(broken)
    finding = only("W048")
    assert finding.found == f"The version of table public.v_thing is not moved: its trigger ops_version {why}."
    assert (finding.severity, finding.mends) == ("warning", "manage.py migrate")
    mended()
    assert version() > before


def test_ops_w048_a_partition_has_no_trigger() -> None:
    execute("CREATE TABLE v_days_3 PARTITION OF v_days FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')")
    assert only("W048").found == (
        "The version of table public.v_days_3 is not moved: its trigger ops_version is missing."
    )
    mended()


def test_ops_w048_whose_table_is_somebody_elses_is_told_to_whom_it_belongs() -> None:
    execute("CREATE ROLE v_reader; DROP TRIGGER ops_version ON v_thing; SET ROLE v_reader")
    finding = only("W048")
    assert finding.mends == "manage.py migrate, as the owner of public.v_thing"
    execute("RESET ROLE")


def test_ops_w048_is_a_check_where_migrate_does_not_make_what_is_missing_anyway() -> None:
    execute("DROP TRIGGER ops_version ON v_other")
    assert checks.versions_are_moved(["default"]) == []
    execute("ALTER TABLE v_thing DISABLE TRIGGER ops_version")
    (message,) = checks.versions_are_moved(["default"])
    assert (message.id, message.hint) == ("ops.W048", "Run 'manage.py migrate'.")
    assert "public.v_thing is not moved: its trigger ops_version is disabled." in message.msg
    with pytest.raises(CommandError, match=r"ops\.W048"):
        call_command("check", databases=["default"], fail_level="WARNING")


def test_ops_w049_what_is_declared_can_have_no_version() -> None:
    execute("CREATE VIEW v_view AS SELECT * FROM v_thing")
    with declared("v_view", tags={"v_thing": "none"}):
        told: list[Finding] = found("W049")
        assert [one.found for one in told] == [
            (
                "Table public.v_thing has no version as declared: its rows can't be told apart by none, as it has no "
                "such column."
            ),
            (
                "Table public.v_view has no version as declared: it is no table, so no trigger tells what is written "
                "to what it shows; name the tables it reads."
            ),
        ]
        assert told[0].mends.startswith("declare the tables that a view reads; tell rows apart by a column of whole")


@pytest.mark.parametrize(
    "broken",
    [
        (
            "CREATE OR REPLACE FUNCTION ops_move_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
            "$$ BEGIN RETURN NULL; END $$"
        ),
        "ALTER FUNCTION ops_move_version() SECURITY INVOKER",
    ],
)
def test_ops_e048_a_function_that_moves_versions_was_replaced(broken: str) -> None:
    execute(broken)
    finding = only("E048")
    assert finding.found == "Function ops_move_version is not what sql/ops defines."
    assert (finding.severity, finding.mends) == ("error", "manage.py migrate")
    before = versions.read(["v_thing", "cache:a name"]).by_table
    mended()
    # What was missed meanwhile nobody knows, so all that was read before is old.
    assert all(number > before[name] for name, number in versions.read(list(before)).by_table.items())
    execute("UPDATE v_thing SET v = 1")


def test_ops_e048_a_function_is_gone() -> None:
    execute("DROP FUNCTION ops_move_tags() CASCADE")
    assert only("E048").found == "Function ops_move_tags is not what sql/ops defines."
    assert triggers.install("default")[0] == "function ops_move_tags was not what sql/ops defines: made."
    mended()


def test_ops_e048_whose_functions_are_somebody_elses_is_told_to_whom_they_belong() -> None:
    execute("CREATE ROLE v_reader; ALTER FUNCTION ops_move_version() SECURITY INVOKER")
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (owner,) = cursor.fetchone()
    execute("SET ROLE v_reader")
    assert only("E048").mends == f"manage.py migrate, as {owner}"
    assert triggers.install("default") == [
        (
            f"function ops_move_version is not what sql/ops defines; it is {owner}'s, so run 'manage.py migrate' as "
            "that role."
        )
    ]
    execute("RESET ROLE")
