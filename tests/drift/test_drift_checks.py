"""The checks of migrations, each test named after the check's id; that Django's own migrate is kept from starting."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from ops.doctor import Finding
from ops.drift import checks

pytestmark = pytest.mark.django_db

FIRST = "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    operations = []\n"
SECOND = FIRST.replace("    operations", '    dependencies = [("shelf", "0001_initial")]\n    operations')

Made = Callable[..., override_settings]


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Made:
    """Return what makes a package of migrations for the app `shelf`, of files by name, and lets Django take it."""

    def make(**files: str) -> override_settings:
        package = f"made_{abs(hash(request.node.name))}"
        folder = tmp_path / package
        folder.mkdir()
        for name, text in files.items():
            (folder / name.replace("DOT", ".").replace("HYPHEN", "-")).write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        return override_settings(MIGRATION_MODULES={"shelf": package})

    return make


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def ids(found: list[Finding]) -> list[str]:
    return [one.id for one in found]


def of_database() -> list[str]:
    return [
        str(one.id) for one in run_checks(databases=["default"]) if str(one.id) in ("ops.E052", "ops.E053", "ops.W053")
    ]


def test_all_are_silent_in_this_project() -> None:
    assert list(checks.of_names()) == []
    assert list(checks.of_texts()) == []
    assert list(checks.of_database("default")) == []


def test_what_runs_before_every_command_asks_no_database() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert list(checks.of_names()) == []
    assert len(queries) == 0


# Names of files


def test_ops_w050_migrations_without_an_init_are_none_to_django(migrations: Made) -> None:
    with migrations(**{"0001_initialDOTpy": FIRST}):
        (one,) = checks.of_names()
    assert one.id == "ops.W050"
    assert "no __init__.py, so Django takes shelf for an app without migrations" in one.found


def test_ops_w051_names_that_differ_by_case_only(migrations: Made) -> None:
    with migrations(__init__DOTpy="", **{"0001_initialDOTpy": FIRST, "0001_InitialDOTpy": FIRST}):
        (one,) = checks.of_names()
    assert one.id == "ops.W051"
    assert "differ by case only" in one.found


def test_ops_w052_a_name_that_python_can_not_import(migrations: Made) -> None:
    with migrations(__init__DOTpy="", **{"0001_initialDOTpy": FIRST, "0002_moreDOTpyDOTbak": "", "0002_more": SECOND}):
        found = list(checks.of_names())
    assert set(ids(found)) == {"ops.W052"}
    assert "is no migration to Django" in found[0].found


# Their text


def test_ops_e050_a_dependency_that_is_not_there(migrations: Made) -> None:
    lost = SECOND.replace("0001_initial", "0001_lost")
    with migrations(__init__DOTpy="", **{"0001_initialDOTpy": FIRST, "0002_moreDOTpy": lost}):
        found = list(checks.of_texts())
    assert ids(found) == ["ops.E050"]
    assert "0001_lost" in found[0].found


def test_ops_e051_two_last_migrations(migrations: Made) -> None:
    with migrations(
        __init__DOTpy="", **{"0001_initialDOTpy": FIRST, "0002_oneDOTpy": SECOND, "0002_otherDOTpy": SECOND}
    ):
        found = list(checks.of_texts())
        assert ids(found) == ["ops.E051"]
        # It is no check of the command that mends it.
        assert [one for one in run_checks() if str(one.id) == "ops.E051"] == []
        assert [str(one.id) for one in run_checks(include_deployment_checks=True) if one.id == "ops.E051"] == [
            "ops.E051"
        ]
    assert "0002_one" in found[0].found
    assert "0002_other" in found[0].found


# The history


def test_ops_e052_a_history_that_gives_no_key_stops_djangos_own_migrate() -> None:
    execute("ALTER TABLE django_migrations ALTER COLUMN id DROP IDENTITY")
    (one,) = checks.of_database("default")
    assert one.id == "ops.E052"
    assert one.mends == "run 'manage.py repair_migrations --only H18 --apply'"
    assert of_database() == ["ops.E052"]
    with pytest.raises(SystemCheckError, match=r"ops\.E052"):
        call_command("migrate", skip_checks=False, verbosity=0)


@pytest.fixture
def behind() -> Iterator[None]:
    """Set the sequence of django_migrations behind its rows, and back: no transaction does."""
    execute("SELECT setval(pg_get_serial_sequence('django_migrations', 'id'), 3)")
    yield
    execute("SELECT setval(pg_get_serial_sequence('django_migrations', 'id'), (SELECT max(id) FROM django_migrations))")


@pytest.mark.usefixtures("behind")
def test_ops_e052_a_sequence_behind_its_rows_stops_it_too() -> None:
    assert of_database() == ["ops.E052"]
    with pytest.raises(SystemCheckError, match=r"ops\.E052"):
        call_command("migrate", skip_checks=False, verbosity=0)


def test_ops_e052_is_silent_for_a_role_that_does_not_migrate() -> None:
    execute("CREATE ROLE reader")
    execute("GRANT USAGE ON SCHEMA public TO reader")
    execute("SET LOCAL ROLE reader")
    assert list(checks.of_database("default")) == []
    execute("RESET ROLE")


def test_ops_e053_a_history_of_another_schema_than_the_tables_stops_migrate() -> None:
    execute("CREATE SCHEMA staging")
    execute("CREATE TABLE staging.django_migrations (LIKE public.django_migrations INCLUDING ALL)")
    execute("SET LOCAL search_path = staging, public")
    (one,) = checks.of_database("default")
    assert one.id == "ops.E053"
    assert "Django reads staging.django_migrations (0 rows), and the tables are in public" in one.found
    with pytest.raises(SystemCheckError, match=r"ops\.E053"):
        call_command("migrate", skip_checks=False, verbosity=0)


def test_ops_e053_a_search_path_that_has_lost_the_schema_of_the_tables() -> None:
    execute("CREATE SCHEMA fresh")
    execute("SET LOCAL search_path = fresh")
    (one,) = checks.of_database("default")
    assert one.id == "ops.E053"
    assert "Django would make django_migrations in fresh, and the tables are in public" in one.found
    execute("CREATE TABLE fresh.of_its_own ()")
    assert list(checks.of_database("default")) == []


def test_ops_e053_is_silent_where_each_schema_has_tables_of_its_own() -> None:
    execute("CREATE SCHEMA tenant")
    execute("CREATE TABLE tenant.django_migrations (LIKE public.django_migrations INCLUDING ALL)")
    execute("CREATE TABLE tenant.auth_user (LIKE public.auth_user INCLUDING ALL)")
    execute("SET LOCAL search_path = tenant, public")
    assert [one.id for one in checks.of_database("default")] == []


def test_without_a_history_yet_nothing_is_wrong() -> None:
    execute("DROP TABLE django_migrations")
    assert list(checks.of_database("default")) == []


def test_ops_w053_an_app_without_migrations_whose_tables_are_missing() -> None:
    with override_settings(MIGRATION_MODULES={"shelf": None}):
        assert list(checks.of_database("default")) == []
        execute("DROP TABLE shelf_parcel CASCADE")
        (one,) = checks.of_database("default")
    assert one.id == "ops.W053"
    assert one.found == "App shelf has no migrations, and its tables are missing: shelf_parcel."
