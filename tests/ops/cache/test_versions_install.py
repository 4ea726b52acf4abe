"""Triggers are made what they are to be, by whoever may; what keeps versions survives what tests do to a database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from ops.cache import triggers, versions
from ops.cache.triggers import Needs, NotInstalled, Trigger
from ops.engine.session import DatabaseTrouble
from ops.models import TableVersion
from tests.ops.cache.versioned import UNPACKED, declared, execute, moved_by, others, tables, tagged, version, write
from tests.ops.shop import ended, manage

pytestmark = pytest.mark.django_db(transaction=True)

ALTERED = (
    "CREATE OR REPLACE TRIGGER ops_version AFTER {} ON v_thing FOR EACH STATEMENT EXECUTE FUNCTION {}(); "
    "ALTER TABLE v_thing ENABLE ALWAYS TRIGGER ops_version"
)
SHOWN = "SELECT tgname, oid FROM pg_trigger WHERE tgrelid = 'v_days_2a'::regclass ORDER BY tgname"


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    with tables(tags=UNPACKED):
        execute("INSERT INTO v_thing VALUES (1, 1, 0); INSERT INTO v_days VALUES ('2026-02-05', 1, 0)")
        yield


def fetched(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def test_installing_again_does_nothing() -> None:
    before = fetched("SELECT oid, xmin FROM pg_trigger ORDER BY oid")
    assert triggers.differences("default") == []
    assert triggers.install("default") == []
    assert fetched("SELECT oid, xmin FROM pg_trigger ORDER BY oid") == before
    assert [name for name, _ in fetched(SHOWN)] == [
        "ops_version",
        "ops_version_delete_partner_id",
        "ops_version_insert_partner_id",
        "ops_version_truncate_partner_id",
        "ops_version_update_partner_id",
    ]


def test_a_partition_that_comes_later_is_given_its_triggers_and_the_version_moves() -> None:
    before = version("v_days")
    execute("CREATE TABLE v_days_3 PARTITION OF v_days FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')")
    with pytest.raises(versions.Unversioned, match="v_days"):
        version("v_days")
    said = triggers.install("default")
    assert version("v_days") > before
    assert said[0] == "public.v_days_3: its trigger ops_version is missing: made."
    assert len(said) == 5
    assert moved_by(lambda: execute("INSERT INTO v_days_3 VALUES ('2026-03-05', 1, 0)"), "v_days")


def test_a_partition_that_is_detached_loses_its_triggers() -> None:
    execute("ALTER TABLE v_days DETACH PARTITION v_days_1")
    said = triggers.install("default")
    assert said[0] == "public.v_days_1: its trigger ops_version serves nothing that is declared: dropped."
    assert len(said) == 5
    assert fetched("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'v_days_1'::regclass AND NOT tgisinternal") == [
        (0,)
    ]
    execute("DROP TABLE v_days_1")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("ALTER TABLE v_thing DISABLE TRIGGER ops_version", "is disabled"),
        ("ALTER TABLE v_thing ENABLE REPLICA TRIGGER ops_version", "is disabled"),
        (
            "ALTER TABLE v_thing DISABLE TRIGGER ALL; UPDATE v_thing SET v = 9; ALTER TABLE v_thing ENABLE TRIGGER ALL",
            "was disabled for a time, or does not fire for what is replicated",
        ),
        ("DROP TRIGGER ops_version ON v_thing", "is missing"),
        (ALTERED.format("INSERT", "ops_move_version"), "was altered"),
        (ALTERED.format("INSERT OR UPDATE OR DELETE OR TRUNCATE", "ops_begin_versions_anew"), "was altered"),
    ],
)
def test_what_no_trigger_moves_is_not_read_until_it_is_mended_and_then_has_another_version(
    broken: str, why: str
) -> None:
    before = version()
    execute(broken)
    with pytest.raises(versions.Unversioned, match="moves the version of v_thing: declare what is read"):
        version()
    said = triggers.install("default")
    assert said[0] == f"public.v_thing: its trigger ops_version {why}: made."
    assert version() > before
    assert triggers.install("default") == []


def test_a_tags_trigger_that_is_mended_moves_all_tags() -> None:
    before = tagged("v_thing", 1, 2)
    execute("ALTER TABLE v_thing DISABLE TRIGGER ops_version_update_partner_id")
    with pytest.raises(versions.Unversioned):
        tagged("v_thing", 1)
    assert len(triggers.install("default")) == 1
    assert all(after > before[one] for one, after in tagged("v_thing", 1, 2).items())


def test_views_missing_tables_and_families_are_not_read() -> None:
    execute("CREATE VIEW v_view AS SELECT 1 AS one; CREATE TABLE v_child () INHERITS (v_other)")
    try:
        with declared("v_view", "v_none", "v_child", "ops_tagversion", tags={"v_thing": "v", "v_other": "none"}):
            assert sorted(str(one) for one in triggers.differences("default") if one.does == "nothing") == [
                "public.ops_tagversion: it keeps versions itself",
                "public.v_child: it has children by inheritance or is one, whose writes its triggers don't hear of",
                "public.v_other: it has children by inheritance or is one, whose writes its triggers don't hear of",
                (
                    "public.v_view: it is no table, so no trigger tells what is written to what it shows; name the "
                    "tables it reads"
                ),
            ]
            triggers.install("default")
            with pytest.raises(versions.Unversioned) as refused:
                versions.read(["v_view", "v_none", "v_child", "v_thing"])
            assert refused.value.tables == ("v_child", "v_none", "v_view")
    finally:
        execute("DROP VIEW v_view; DROP TABLE v_child")


def test_rows_are_told_apart_only_by_what_has_one_text() -> None:
    execute("ALTER TABLE v_thing ADD amount numeric")
    with declared(tags={"v_thing": "amount", "v_other": "none"}):
        assert [str(one) for one in triggers.differences("default")] == [
            "public.v_other: its rows can't be told apart by none, as it has no such column",
            (
                "public.v_thing: its rows can't be told apart by amount, which is of type numeric, not bigint, "
                "boolean, character varying, integer, smallint, text, uuid"
            ),
        ]


def test_a_table_that_is_being_written_to_is_named_and_the_others_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "LOCK_TIMEOUT", 200)
    execute("DROP TRIGGER ops_version ON v_thing; DROP TRIGGER ops_version ON v_other")
    with others(1) as (writer,):
        write(writer, "UPDATE v_thing SET v = 1")
        with pytest.raises(NotInstalled, match=r"the version of public\.v_thing could not be made, as a trans"):
            triggers.install("default")
        assert version("v_other") > 0
        writer.rollback()
    assert triggers.install("default") == ["public.v_thing: its trigger ops_version is missing: made."]


def test_migrate_makes_the_triggers(capsys: pytest.CaptureFixture[str]) -> None:
    execute("DROP TRIGGER ops_version ON v_thing")
    call_command("migrate", verbosity=2, interactive=False)
    assert "Versions of tables: public.v_thing: its trigger ops_version is missing: made." in capsys.readouterr().out
    assert version() > 0


@pytest.fixture
def role() -> Iterator[str]:
    execute("DROP ROLE IF EXISTS v_writer; CREATE ROLE v_writer; GRANT ALL ON v_thing, v_days_1 TO v_writer")
    yield "v_writer"
    execute("RESET ROLE; DROP OWNED BY v_writer; DROP ROLE v_writer")


def test_who_may_write_to_a_table_needs_no_privilege_on_its_version(role: str) -> None:
    execute(f"SET ROLE {role}")
    assert moved_by(lambda: execute("UPDATE v_thing SET v = 2"))
    assert tagged("v_thing", 1)
    with pytest.raises(DatabaseTrouble, match="v_writer may not read versions; the database role lacks a privilege"):
        versions.bump("v_thing")
    with pytest.raises(Exception, match="permission denied for function ops_bump"), transaction.atomic():
        execute("SELECT ops_bump('public.v_thing')")
    execute(f"RESET ROLE; GRANT SELECT ON ops_tableversion TO {role}; SET ROLE {role}")
    assert moved_by(lambda: versions.bump("v_thing"))


def test_a_writers_own_tables_do_not_take_the_place_of_ours(role: str) -> None:
    execute(f"GRANT TEMPORARY ON DATABASE {connection.settings_dict['NAME']} TO {role}; SET ROLE {role}")
    try:
        execute("CREATE TEMPORARY TABLE ops_tableversion (name text, slot bigint, version bigint)")
        execute("SET search_path = pg_temp, public")
        assert moved_by(lambda: execute("UPDATE public.v_thing SET v = 2"))
        assert fetched("SELECT count(*) FROM pg_temp.ops_tableversion") == [(0,)]
    finally:
        execute("RESET search_path; DROP TABLE pg_temp.ops_tableversion")


def test_who_does_not_own_a_table_says_so_and_goes_on(role: str) -> None:
    execute("CREATE TABLE v_mine (id integer); CREATE TABLE v_theirs (id integer)")
    execute(f"DROP TRIGGER ops_version ON v_other; GRANT ALL ON SCHEMA public TO {role}")
    execute(f"ALTER TABLE v_mine OWNER TO {role}; GRANT SELECT ON ops_tableversion TO {role}")
    execute(f"GRANT EXECUTE ON FUNCTION ops_move_version() TO {role}; SET ROLE {role}")
    try:
        with declared("v_mine", "v_theirs"):
            assert sorted(triggers.install("default")) == [
                "public.v_mine: its trigger ops_version is missing: made.",
                (
                    f"public.v_other: its trigger ops_version is missing; the table is {owner()}'s, so run 'manage.py "
                    "migrate' as that role."
                ),
                (
                    f"public.v_theirs: its trigger ops_version is missing; the table is {owner()}'s, so run 'manage.py "
                    "migrate' as that role."
                ),
            ]
    finally:
        execute("RESET ROLE; DROP TABLE v_mine, v_theirs")


def owner() -> str:
    return str(fetched("SELECT session_user")[0][0])


def test_versions_do_not_come_again_after_a_flush() -> None:
    def both() -> tuple[int, int]:
        return version(), tagged("v_thing", 1)["partner_id=1"]

    seen = [both()]
    for _ in range(3):
        for _ in range(3):
            execute("UPDATE v_thing SET v = v + 1")
            seen.append(both())
        execute("TRUNCATE ops_tableversion, ops_tagversion RESTART IDENTITY CASCADE")
        seen.append(both())
        execute("TRUNCATE ops_tagversion")
        seen.append(both())
    call_command("flush", verbosity=0, interactive=False)
    seen.append(both())
    for number in (0, 1):
        assert [one[number] for one in seen] == sorted({one[number] for one in seen})
    assert TableVersion.objects.get(name="*").version > 0


def test_versions_are_read_where_nothing_may_be_written() -> None:
    execute("SET default_transaction_read_only = on")
    try:
        assert version() > 0
        with pytest.raises(DatabaseTrouble, match="read-only"):
            versions.bump("v_thing")
    finally:
        execute("RESET default_transaction_read_only")


def test_the_migration_can_be_taken_back_and_made_again() -> None:
    call_command("migrate", "ops", "0005", verbosity=0, interactive=False)
    try:
        with pytest.raises(versions.Unversioned, match="v_thing"):
            version()
        assert triggers.install("default") == []
        execute("UPDATE v_thing SET v = 2")
    finally:
        call_command("migrate", verbosity=0, interactive=False)
    assert version() > 0
    assert moved_by(lambda: execute("UPDATE v_thing SET v = 2"))


def test_every_declaration_is_needed(settings: Any) -> None:
    settings.SETWISE_VERSIONED_TABLES = ["v_thing", "public.v_listed"]
    found = triggers.needed()
    assert found["public.v_listed"] == Needs((), ("SETWISE_VERSIONED_TABLES",))
    assert found["v_thing"] == Needs(("partner_id",), ("a test", "SETWISE_VERSIONED_TABLES"))
    assert "job billing.reprice" in found["billing_subscription"].by
    assert "report runs" in found["ops_run"].by


def test_the_name_of_a_trigger_fits_however_long_its_column_is() -> None:
    column = "c" * 63
    execute(f"CREATE TABLE v_long ({column} integer)")
    try:
        with declared(tags={"v_long": column}):
            assert len(triggers.install("default")) == 5
            assert triggers.install("default") == []
            assert versions.read([], {"v_long": [versions.tag(column, 1)]}).by_table
    finally:
        execute("DROP TABLE v_long")
    assert Trigger(1, "public", "t", "n", ("INSERT", "TRUNCATE")).bits == 36


SETTINGS = """
from tests.settings import *
DATABASES = {**DATABASES, "second": {**DATABASES["default"], "NAME": "setwise_second"}}
SETWISE_VERSIONED_TABLES = ["billing_currency"]
"""
READ = """
from ops.cache import versions
here, there = (versions.read(["billing_currency"], database=one) for one in ("default", "second"))
assert here.identity != there.identity
from billing.models import Currency
Currency.objects.using("second").create(code="XXX", minor_units=2)
print(versions.read(["billing_currency"]) == here, versions.read(["billing_currency"], database="second") == there)
"""


def test_each_database_has_versions_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "two_databases.py").write_text(SETTINGS, encoding="utf-8")
    environment = {"DJANGO_SETTINGS_MODULE": "two_databases", "PYTHONPATH": str(tmp_path)}
    execute("CREATE DATABASE setwise_second")
    try:
        for alias in ("second", "default"):
            assert ended(manage("migrate", "--database", alias, "--verbosity", "0", **environment)) == (0, "", "")
        assert ended(manage("shell", "--verbosity", "0", "--command", READ, **environment)) == (0, "True False\n", "")
    finally:
        execute("DROP DATABASE setwise_second WITH (FORCE)")
