"""Versions are moved by nobody else's doing, and none is told where somebody writes past the triggers."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from ops.cache import triggers, versions
from tests.ops.cache.versioned import UNPACKED, declared, execute, others, tables, tagged, version, write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    with tables(tags=UNPACKED):
        execute("INSERT INTO v_thing VALUES (1, 1, 0); INSERT INTO v_days VALUES ('2026-02-05', 1, 0)")
        yield


@pytest.fixture
def role() -> Iterator[str]:
    execute("DROP ROLE IF EXISTS v_stranger; CREATE ROLE v_stranger; GRANT ALL ON SCHEMA public TO v_stranger")
    yield "v_stranger"
    execute("RESET ROLE; DROP OWNED BY v_stranger CASCADE; DROP ROLE v_stranger")


@pytest.mark.parametrize("function", ["ops_move_version", "ops_move_tags", "ops_begin_versions_anew"])
def test_nobody_makes_triggers_of_functions_that_run_as_their_owner(role: str, function: str) -> None:
    execute(f"SET ROLE {role}; CREATE TABLE v_own (id integer)")
    with pytest.raises(Exception, match=f"permission denied for function {function}"), transaction.atomic():
        execute(f"CREATE TRIGGER t AFTER INSERT ON v_own FOR EACH STATEMENT EXECUTE FUNCTION {function}('id')")


def test_no_cast_of_somebody_elses_runs_as_the_owner_of_the_functions(role: str) -> None:
    execute(f"GRANT EXECUTE ON FUNCTION ops_move_version(), ops_move_tags() TO {role}")
    execute(f"GRANT SELECT ON ops_tableversion TO {role}; SET ROLE {role}")
    execute(
        "CREATE TYPE v_type AS (a integer); CREATE TABLE v_ran_as (who text); GRANT ALL ON v_ran_as TO PUBLIC; "
        "CREATE FUNCTION v_cast(v_type) RETURNS json LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO public.v_ran_as VALUES (current_user); RETURN '1'; END $$; "
        "CREATE FUNCTION v_as_text(v_type) RETURNS text LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO public.v_ran_as VALUES (current_user); RETURN '1'; END $$; "
        "CREATE CAST (v_type AS json) WITH FUNCTION v_cast(v_type); "
        "CREATE CAST (v_type AS text) WITH FUNCTION v_as_text(v_type); "
        "CREATE TABLE v_own (id integer, odd v_type)"
    )
    with declared(tags={"v_own": "id"}):
        assert all(": made." in one for one in triggers.install("default") if "v_own" in one)
        before = versions.read([], {"v_own": ["id=1"]}).by_table["v_own#id=1"]
        execute("INSERT INTO v_own VALUES (1, row(1)::v_type); UPDATE v_own SET id = 2")
        assert versions.read([], {"v_own": ["id=1"]}).by_table["v_own#id=1"] == before + 2
        # Its owner makes the column itself one of the type: all tags move.
        execute(
            "ALTER TABLE v_own DROP COLUMN id; ALTER TABLE v_own RENAME odd TO id; INSERT INTO v_own VALUES (row(1))"
        )
        assert versions.read([], {"v_own": ["id=1"]}).by_table["v_own#id=1"] == before + 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM v_ran_as")
        assert cursor.fetchone() == (0,)


def test_who_may_not_use_the_functions_is_told_what_to_do_and_migrate_goes_on(
    role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(f"CREATE TABLE v_own (id integer); ALTER TABLE v_own OWNER TO {role}; SET ROLE {role}")
    with declared("v_own"):
        (said,) = [one for one in triggers.install("default") if "v_own" in one]
        assert said.startswith("public.v_own: its trigger ops_version is missing; this role may not make triggers")
        assert said.endswith("ops_tableversion, then run 'manage.py cache install'.")
        for verbosity, there in ((0, False), (1, True)):
            triggers.after_migrate("default", verbosity)
            assert (f"Versions of tables: {said}\n" in capsys.readouterr().err) == there


def test_migrate_goes_on_where_a_table_is_being_written_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(triggers, "LOCK_TIMEOUT", 200)
    execute("DROP TRIGGER ops_version ON v_thing")
    with others(1) as (writer,):
        write(writer, "UPDATE v_thing SET v = 1")
        call_command("migrate", verbosity=0, interactive=False)
        assert capsys.readouterr().err == ""
        triggers.after_migrate("default", 1)
        told = capsys.readouterr().err
        writer.rollback()
    assert "the version of public.v_thing could not be made" in told
    assert "run 'manage.py cache install'" in told


def test_a_partition_without_triggers_leaves_no_version_until_it_has_them() -> None:
    before = versions.read(["v_days"])
    execute("CREATE TABLE v_days_3 PARTITION OF v_days FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')")
    execute("INSERT INTO v_days_3 VALUES ('2026-03-05', 1, 0)")
    for read in (lambda: version("v_days"), lambda: version("v_days_1"), lambda: tagged("v_days", 1)):
        with pytest.raises(versions.Unversioned):
            read()
    assert triggers.install("default")[0] == "public.v_days_3: its trigger ops_version is missing: made."
    after = versions.read(["v_days"])
    assert after.identity != before.identity
    assert after.by_table["v_days"] > before.by_table["v_days"]
    execute("INSERT INTO v_days_3 VALUES ('2026-03-06', 1, 0)")
    assert versions.read(["v_days"]).identity == after.identity
    assert version("v_days") > after.by_table["v_days"]


def test_partitions_that_go_and_come_make_it_another_table() -> None:
    seen = [versions.read(["v_days"]).key]
    execute("ALTER TABLE v_days DETACH PARTITION v_days_1")
    seen.append(versions.read(["v_days"]).key)
    execute("INSERT INTO v_days_1 VALUES ('2026-01-07', 1, 0)")
    assert versions.read(["v_days"]).key == seen[-1]
    # Until it is attached again it is a table with a version of its own, which its triggers move.
    with declared("v_days_1", tags={"v_days_1": "partner_id"}):
        triggers.install("default")
    execute("ALTER TABLE v_days ATTACH PARTITION v_days_1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
    for read in (lambda: version("v_days"), lambda: tagged("v_days", 1)):
        with pytest.raises(versions.Unversioned):
            read()
    triggers.install("default")
    assert tagged("v_days", 1)
    seen.append(versions.read(["v_days"]).key)
    execute("DROP TABLE v_days_2a")
    seen.append(versions.read(["v_days"]).key)
    assert len(set(seen)) == 4


def test_what_a_subscription_writes_has_no_version() -> None:
    execute(
        "CREATE SUBSCRIPTION v_sub CONNECTION 'host=127.0.0.1' PUBLICATION p WITH (connect = false, slot_name = NONE, "
        "enabled = false)"
    )
    try:
        assert version() > 0
        execute("SET allow_system_table_mods = on")
        execute(
            "INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) SELECT s.oid, r.oid, 'r' "
            "FROM pg_subscription AS s, unnest('{v_thing,v_days_2a}'::regclass[]) AS r (oid) WHERE s.subname = 'v_sub'"
        )
        for table in ("v_thing", "v_days"):
            with pytest.raises(versions.Unversioned):
                version(table)
        said = "a subscription writes to it, which fires no trigger of a statement, so nothing read from it is kept."
        told = sorted(one for one in triggers.install("default") if "subscription" in one)
        assert told == [f"public.v_days_2a: {said}", f"public.v_thing: {said}"]
    finally:
        execute("DELETE FROM pg_subscription_rel; RESET allow_system_table_mods; DROP SUBSCRIPTION v_sub")
    assert version() > 0


def test_triggers_in_schemas_that_are_not_looked_at_are_left_alone() -> None:
    execute("CREATE SCHEMA v_far; CREATE TABLE v_far.v_kept (id integer)")
    try:
        with declared("v_far.v_kept"):
            triggers.install("default")
        # Declared by another program, whose search_path has that schema.
        assert triggers.install("default") == []
        assert versions.read(["v_far.v_kept"]).by_table
        execute("SET search_path = v_far, public")
        assert triggers.install("default") == [
            "v_far.v_kept: its trigger ops_version serves nothing that is declared: dropped."
        ]
    finally:
        execute("RESET search_path; DROP SCHEMA v_far CASCADE")
