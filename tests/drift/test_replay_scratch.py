"""The scratch database: like the real one, gone afterwards, and what is done where there can be none."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from ops.drift import scratch
from tests.drift.throwaway import Project, coded, databases, project
from tests.ops.scratch import connected, own_database, rows

pytestmark = pytest.mark.django_db
SLEEPS = "import time\ntime.sleep(120)"


@pytest.fixture(autouse=True)
def _none_of_before() -> None:
    """Drop what a suite that was killed has left on these servers."""
    for name in databases():
        rows("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as made:
        made.migrate()
        yield made


def waited(what: Callable[[], object]) -> None:
    """Wait until a function says something true."""
    until = time.monotonic() + 120
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)


def sessions() -> list[tuple[object, ...]]:
    """Return the sessions that wait for code that sleeps, within its savepoint."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname ~ '^setwise_scratch_' AND query ~ '^SAVEPOINT'"
    return rows("postgres", query)


@contextmanager
def started(own: Project) -> "Iterator[subprocess.Popen[str]]":
    """Start asking, and wait until the code of the migration runs; kill it at the end."""
    process = own.start()
    try:
        waited(sessions)
        yield process
    finally:
        process.kill()
        process.communicate()


def child(parent: int) -> int:
    """Return the process that replays for another."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])


def test_leftovers_are_dropped_and_nothing_else(own: Project) -> None:
    now = int(time.time())
    names = {
        "old": f"setwise_scratch_{now - 300}_0123456789ab",
        "used": f"setwise_scratch_{now - 300}_1123456789ab",
        "young": f"setwise_scratch_{now}_2123456789ab",
        "another's": f"setwise_scratch_{now - 300}_3123456789ab",
        "named like one": "setwise_scratch_of_mine",
    }
    try:
        for name in names.values():
            rows("postgres", f'CREATE DATABASE "{name}"')
        for which, note in (("old", scratch.NOTE), ("another's", "keep this")):
            rows("postgres", f'COMMENT ON DATABASE "{names[which]}" IS %s', [note])
        with connected(names["used"]):
            assert own.expect().mode == "replayed"
        assert databases() == set(names.values()) - {names["old"]}
        rows("postgres", f'CREATE DATABASE "{names["old"]}"')
        assert own.expect().mode == "cached"
        assert databases() == set(names.values()) - {names["old"], names["used"]}
    finally:
        for name in names.values():
            rows("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def test_what_is_set_for_the_sessions_of_a_role_stops_no_replay(own: Project) -> None:
    limits = {"default_transaction_read_only": "on", "statement_timeout": 500, "idle_session_timeout": 1_000}
    limits |= {"idle_in_transaction_session_timeout": 500, "lock_timeout": 1, "default_tablespace": "pg_default"}
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    assert own.expect(role={"OPTIONS": {"options": options}}).mode == "replayed"
    assert databases() == set()


def test_it_is_like_the_real_one() -> None:
    with own_database("drift_like") as name:
        rows("postgres", "DROP DATABASE drift_like")
        locale = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"
        rows("postgres", f"CREATE DATABASE drift_like TEMPLATE template0 {locale}")
        with connected(name) as opened:
            real = scratch.look(opened)
            with scratch.made(opened, real) as made, connected(made) as other:
                found = scratch.look(other)
        assert databases() == set()
        kept = ("encoding_name", "collate_name", "ctype_name", "datlocprovider", "datlocale", "daticurules")
        assert {one: found.locale[one] for one in kept} == {one: real.locale[one] for one in kept}
        assert real.locale["encoding_name"] == "LATIN1"
        assert real.path == ("public",)


@pytest.mark.parametrize(
    ("search_path", "schemas", "found"),
    [
        ('"$user", public', ["public"], ("public",)),
        ('"$user", public', ["kim", "public"], ("kim", "public")),
        ('shop, "Odd, one", public', ["public"], ("shop", "Odd, one", "public")),
        ('"with ""quotes"""', [], ('with "quotes"',)),
        ('""', [], ()),
        ("pg_catalog, public", ["pg_catalog", "public"], ("public",)),
    ],
)
def test_a_search_path_is_read(search_path: str, schemas: list[str], found: tuple[str, ...]) -> None:
    assert scratch.path_of(search_path, schemas) == found


def test_a_role_that_may_not_create_databases_gets_the_reduced_mode(own: Project) -> None:
    rows("postgres", "DROP ROLE IF EXISTS drift_owner")
    rows("postgres", "CREATE ROLE drift_owner LOGIN PASSWORD 'x' NOCREATEDB")
    try:
        own.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO drift_owner")
        told = own.expect(role={"USER": "drift_owner", "PASSWORD": "x"})
    finally:
        own.sql("DROP OWNED BY drift_owner")
        rows("postgres", "DROP ROLE drift_owner")
    assert told.mode == "reduced"
    assert "may not create databases (grant it CREATEDB): permission denied to create database" in told.notes
    assert not (own.path / "cache").exists() or not list((own.path / "cache").iterdir())


def test_a_project_that_does_not_load_gets_the_reduced_mode(own: Project) -> None:
    own.write("shop/migrations/0002_bad.py", "import no_such_module\n")
    told = own.expect()
    assert told.mode == "reduced"
    assert "No module named 'no_such_module'" in told.notes
    assert databases() == set()


def test_a_graph_that_does_not_load_gets_the_reduced_mode(own: Project) -> None:
    own.migration("0002_more", 'RunSQL("SELECT 1")', after="0001_nothing")
    told = own.expect()
    assert told.mode == "reduced"
    assert "NodeNotFoundError" in told.notes


def test_a_replay_that_takes_too_long_is_stopped(own: Project) -> None:
    coded(own, "0002_sleeps", SLEEPS)
    told = own.expect(timeout=3)
    assert told.mode == "reduced"
    assert "the replay was stopped after 3 seconds" in told.notes
    assert databases() == set()


def test_a_replay_that_is_killed_is_said_and_leaves_nothing(own: Project) -> None:
    coded(own, "0002_sleeps", SLEEPS)
    with started(own) as process:
        os.kill(child(process.pid), signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert '"mode": "reduced"' in out
    assert "was killed by signal 9" in out
    assert databases() == set()


def test_the_replay_ends_with_who_asked_for_it(own: Project) -> None:
    coded(own, "0002_sleeps", SLEEPS)
    with started(own) as process:
        replaying = child(process.pid)
    waited(lambda: not Path(f"/proc/{replaying}").exists())
    waited(lambda: not sessions())
    (left,) = databases()
    note = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    assert rows(str(connection.settings_dict["NAME"]), note, [left]) == [(scratch.NOTE,)]
    rows("postgres", f'DROP DATABASE "{left}" WITH (FORCE)')
