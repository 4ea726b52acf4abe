"""The system checks of ops, each test named after the check's id; on the suite's own server, and by processes."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.checks.messages import CheckMessage
from django.core.management import call_command, get_commands
from django.core.management.base import SystemCheckError
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import modify_settings, override_settings
from django.test.utils import CaptureQueriesContext

from ops import checks
from tests.ops.shop import ended, manage

pytestmark = pytest.mark.django_db

COMMAND = "from django.core.management.base import BaseCommand\n\n\nclass Command(BaseCommand):\n    pass\n"


def found(databases: list[str] | None = None) -> list[CheckMessage]:
    """Return what the checks of ops have to say."""
    messages = run_checks(databases=databases)
    return [message for message in messages if str(message.id).startswith("ops.")]


def only(databases: list[str] | None = None) -> CheckMessage:
    (message,) = found(databases)
    return message


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_all_are_silent_in_this_project() -> None:
    assert found(["default"]) == []


def test_without_a_database_named_none_connects() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert found() == []
    assert len(queries) == 0


# Commands


@pytest.fixture
def other_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An app of somebody else's with a command `sweep`, and one of its own."""
    commands = tmp_path / "chimney" / "management" / "commands"
    commands.mkdir(parents=True)
    for directory in (commands, commands.parent, commands.parent.parent):
        (directory / "__init__.py").touch()
    (commands / "sweep.py").write_text(COMMAND)
    (commands / "smoke.py").write_text(COMMAND)
    monkeypatch.syspath_prepend(tmp_path)
    get_commands.cache_clear()
    yield "chimney"
    get_commands.cache_clear()


def test_ops_e001_our_command_is_hidden_by_an_app_that_comes_first(other_app: str) -> None:
    with modify_settings(INSTALLED_APPS={"prepend": other_app}):
        # This is the rule: the first one in INSTALLED_APPS wins.
        assert get_commands()["sweep"] == "chimney"
        message = only()
    assert (message.id, message.is_serious()) == ("ops.E001", True)
    assert message.msg == "'manage.py sweep' is the command of chimney; that of ops is hidden by it."
    assert message.hint == "Put 'ops' before 'chimney' in INSTALLED_APPS: the app that comes first wins."


def test_ops_w001_our_command_hides_one_of_an_app_that_comes_later(other_app: str) -> None:
    with modify_settings(INSTALLED_APPS={"append": other_app}):
        assert get_commands()["sweep"] == "ops"
        message = only()
    assert (message.id, message.is_serious()) == ("ops.W001", False)
    assert message.msg == "'manage.py sweep' is the command of ops; that of chimney is hidden by it."
    assert "from chimney.management.commands.sweep import Command" in str(message.hint)
    assert "put 'chimney' before 'ops' in INSTALLED_APPS" in str(message.hint)


# The driver: tests/wheel has an environment with psycopg 3


def test_ops_e002_is_silent_with_psycopg2() -> None:
    assert checks.is_psycopg3 is False
    assert checks.psycopg2_is_the_driver() == []


# Databases that are no PostgreSQL, or an old one


@pytest.fixture
def sqlite(monkeypatch: pytest.MonkeyPatch) -> str:
    """A second database, SQLite in memory."""
    monkeypatch.setitem(connections.settings, "files", {**connections["default"].settings_dict})
    connections.settings["files"] |= {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {}}
    return "files"


class NotThere:
    """A router that keeps ops out of the second database."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if (db, app_label) == ("files", "ops") else None


def test_ops_e003_a_database_that_is_no_postgresql_is_found_when_it_is_checked(sqlite: str) -> None:
    assert found(["default"]) == []
    # Alone, as some of Django's own would connect to it.
    (message,) = checks.databases_are_fit([sqlite])
    assert (message.id, message.is_serious()) == ("ops.E003", True)
    assert message.msg == "Database 'files' is sqlite, and ops keeps its runs in PostgreSQL."
    assert "Set DATABASES['files']['ENGINE'] to 'django.db.backends.postgresql'" in str(message.hint)


def test_ops_e003_is_silent_where_a_router_keeps_ops_out_as_its_hint_says(sqlite: str) -> None:
    with override_settings(DATABASE_ROUTERS=["tests.ops.test_checks.NotThere"]):
        assert checks.databases_are_fit([sqlite]) == []


def test_ops_e003_a_default_database_that_is_no_postgresql_is_found_before_every_command(tmp_path: Path) -> None:
    settings = tmp_path / "on_files.py"
    settings.write_text(
        "from tests.settings import *\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
    )
    path = f"{tmp_path}:{Path(__file__).resolve().parents[2]}"
    code, _, err = ended(manage("runs", "list", DJANGO_SETTINGS_MODULE="on_files", PYTHONPATH=path))
    assert code == 1
    assert "(ops.E003) Database 'default' is sqlite, and ops keeps its runs in PostgreSQL." in err


def test_ops_e004_an_old_server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # Django itself refuses what is older than 14; so the bound moves here, not the server.
    monkeypatch.setattr(checks, "OLDEST", 99)
    message = only(["default"])
    major = connection.pg_version // 10_000
    assert (message.id, message.is_serious()) == ("ops.E004", True)
    assert message.msg == f"Database 'default' is on PostgreSQL {major}, and ops needs 99 or newer."
    assert "pg_upgrade" in str(message.hint)


# Tables


def test_ops_e005_tables_of_our_names_are_found_before_migrate_meets_them() -> None:
    recorder = MigrationRecorder(connection)
    recorder.migration_qs.filter(app="ops").delete()
    execute("ALTER TABLE ops_window RENAME TO ops_window_before")
    message = only(["default"])
    assert (message.id, message.is_serious()) == ("ops.E005", True)
    assert message.msg == (
        "Database 'default' has ops_anomaly, ops_changeset, ops_hold, ops_missedslots, ops_reject, "
        "ops_reportresult, ops_rollup, ops_rolluprow, ops_rolluptouched, ops_run, ops_runevent, ops_schedule, "
        "ops_source, ops_tableversion, ops_tagversion already, "
        "and no migration of ops that made them is recorded there."
    )
    assert str(message.hint).endswith("ALTER TABLE ops_anomaly RENAME TO ops_anomaly_before; then migrate.")
    with pytest.raises(SystemCheckError, match=r"ops\.E005"):
        call_command("migrate", skip_checks=False, verbosity=0)


def test_ops_e005_says_how_to_record_a_complete_set_of_tables() -> None:
    MigrationRecorder(connection).migration_qs.filter(app="ops").delete()
    assert "'manage.py migrate ops --fake --skip-checks'" in str(only(["default"]).hint)
    call_command("migrate", "ops", fake=True, skip_checks=True, verbosity=0)
    assert found(["default"]) == []


def test_ops_e005_names_the_repair_where_no_migration_is_recorded() -> None:
    MigrationRecorder(connection).migration_qs.all().delete()
    hint = "No migration is recorded at all: 'manage.py repair_migrations' shows which were applied (H16)."
    assert [one.hint for one in found(["default"]) if one.id == "ops.E005"] == [hint]


def test_ops_e005_is_silent_where_only_the_next_migration_is_missing_and_its_tables_too() -> None:
    MigrationRecorder(connection).record_unapplied("ops", "0002_engine")
    execute("DROP TABLE ops_window, ops_source")
    assert found(["default"]) == []
    execute("CREATE TABLE ops_window (id integer)")
    assert str(only(["default"]).msg).startswith("Database 'default' has ops_window already")


# Privileges


@pytest.fixture
def poor_role() -> str:
    """Be a role without any privilege but to read what Django reads, within this test's transaction."""
    execute("CREATE ROLE poor")
    execute(
        "REVOKE TEMPORARY ON DATABASE " + connection.ops.quote_name(connection.settings_dict["NAME"]) + " FROM public"
    )
    execute("GRANT USAGE ON SCHEMA public TO poor")
    execute("GRANT SELECT ON django_migrations TO poor")
    return "poor"


def test_ops_w002_names_each_missing_privilege_and_its_hint_grants_them(poor_role: str) -> None:
    execute("SET LOCAL ROLE poor")
    message = next(one for one in checks.databases_are_fit(["default"]) if one.id == "ops.W002")
    assert not message.is_serious()
    assert "The role of database 'default' lacks privileges that ops needs: " in message.msg
    for lacking in (
        "TEMPORARY on database test_",
        "SELECT, INSERT, UPDATE on table ops_run,",
        "SELECT, INSERT, UPDATE, DELETE on table ops_window",
        "SELECT, INSERT on table ops_changeset,",
        "USAGE on sequence ops_changeset_id",
    ):
        assert lacking in message.msg
    hint = str(message.hint)
    assert hint.startswith("As the owner, in psql: GRANT ")
    execute("RESET ROLE")
    execute(hint.removeprefix("As the owner, in psql: "))
    execute("SET LOCAL ROLE poor")
    assert checks.databases_are_fit(["default"]) == []


def test_ops_w002_the_month_function_that_is_revoked_is_named(poor_role: str) -> None:
    execute("REVOKE EXECUTE ON FUNCTION ops_open_month(date) FROM public")
    execute("SET LOCAL ROLE poor")
    (message,) = checks.databases_are_fit(["default"])
    assert "EXECUTE on function ops_open_month(date)" in message.msg
    execute("RESET ROLE")


def test_checks_of_a_database_fail_where_it_cannot_be_reached() -> None:
    code, _, err = ended(manage("check", "--database", "default", DB_HOST="/nowhere"))
    assert code == 1
    assert "server" in err
    assert ended(manage("check", DB_HOST="/nowhere"))[0] == 0


def test_check_prints_them_as_django_does() -> None:
    MigrationRecorder(connection).migration_qs.filter(app="ops").delete()
    out = StringIO()
    with pytest.raises(SystemCheckError) as raised:
        call_command("check", databases=["default"], stdout=out, stderr=out)
    assert "?: (ops.E005) Database 'default' has" in str(raised.value)
    assert "HINT: Move it away in 'manage.py dbshell'" in str(raised.value)
