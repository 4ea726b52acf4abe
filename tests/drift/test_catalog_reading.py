"""How the catalogue is read: in so many statements and no more, by any role, waiting and disturbing as little."""

import threading
from collections.abc import Iterator

import psycopg2
import pytest
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from ops import clock
from ops.drift import catalog
from ops.engine.session import DatabaseTrouble
from tests.drift.remaking import EXOTIC, wrapped
from tests.ops.scratch import connected, own_database, rows

pytestmark = pytest.mark.django_db

SETTINGS = """
SELECT current_setting('search_path'), current_setting('lock_timeout'), current_setting('statement_timeout'),
    current_setting('transaction_read_only'), current_setting('jit'), current_setting('quote_all_identifiers'),
    current_setting('transaction_isolation')
"""


@pytest.fixture
def opened() -> Iterator[BaseDatabaseWrapper]:
    with own_database("catalog_r") as name, wrapped(name) as connection:
        yield connection


def name_of(opened: BaseDatabaseWrapper) -> str:
    return str(opened.settings_dict["NAME"])


def found_by(opened: BaseDatabaseWrapper, statement: str) -> object:
    with opened.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def test_settings_and_autocommit_are_as_they_were(opened: BaseDatabaseWrapper) -> None:
    with opened.cursor() as cursor:
        cursor.execute("SET lock_timeout = '7s'")
        cursor.execute("SET search_path = public, pg_temp")
    before = found_by(opened, SETTINGS)
    catalog.read(opened)
    assert found_by(opened, SETTINGS) == before
    assert opened.get_autocommit() is True
    assert opened.connection.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE


def test_an_open_transaction_goes_on_as_it_was(opened: BaseDatabaseWrapper) -> None:
    opened.set_autocommit(False)
    with opened.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '9s'")
        cursor.execute("CREATE TABLE mine (id int)")
    before = found_by(opened, SETTINGS)
    # It sees what that transaction has made.
    assert "table public.mine" in catalog.read(opened)
    assert found_by(opened, SETTINGS) == before
    with opened.cursor() as cursor:
        cursor.execute("INSERT INTO mine VALUES (1)")
    assert rows(name_of(opened), "SELECT to_regclass('mine')") == [(None,)]
    opened.commit()
    opened.set_autocommit(True)
    assert rows(name_of(opened), "SELECT id FROM mine") == [(1,)]


def test_a_snapshot_is_of_one_moment_and_writes_nothing(opened: BaseDatabaseWrapper) -> None:
    with catalog.reading(opened):
        assert found_by(opened, SETTINGS) == ("pg_catalog", "2s", "30s", "on", "off", "off", "repeatable read")
        with pytest.raises(DatabaseError, match="read-only transaction"), opened.cursor() as cursor:
            cursor.execute("CREATE TABLE public.t (id int)")
    assert found_by(opened, "SELECT to_regclass('t')") == (None,)


def test_the_number_of_statements_does_not_grow_with_the_tables(opened: BaseDatabaseWrapper) -> None:
    opened.force_debug_cursor = True
    with CaptureQueriesContext(opened) as few:
        catalog.read(opened)
    tables = "".join(
        f"CREATE TABLE t{n} (id bigserial PRIMARY KEY, a int CHECK (a > 0), b int REFERENCES t{max(n - 1, 0)});"
        f"CREATE INDEX ON t{n} (a);"
        for n in range(200)
    )
    rows(name_of(opened), EXOTIC + tables)
    with CaptureQueriesContext(opened) as many:
        found = catalog.read(opened)
    assert len([key for key in found if key.startswith("table public.t")]) == 200
    assert len(many) == len(few) == 21


def test_a_locked_table_ends_the_reading_soon_and_is_named_with_its_holder(opened: BaseDatabaseWrapper) -> None:
    rows(name_of(opened), "CREATE TABLE shop (id int PRIMARY KEY); CREATE VIEW shops AS SELECT id FROM shop")
    with connected(name_of(opened)) as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("SET application_name = 'the other'")
            cursor.execute("LOCK TABLE shop, shops IN ACCESS EXCLUSIVE MODE")
        began = clock.monotonic()
        with pytest.raises(catalog.CatalogLocked) as caught:
            catalog.read(opened)
        assert clock.monotonic() - began < 10
        assert str(caught.value).startswith(
            f"Reading the catalogue of database 'catalog_r': waited 2 s for public.shop and 1 more, locked (ACCESS "
            f"EXCLUSIVE) by process {other.info.backend_pid} (user '{opened.settings_dict['USER']}', application "
            f"'the other', idle in transaction, for "
        )
        assert str(caught.value).endswith("or end it by pg_terminate_backend(), then start again.")
        assert opened.get_autocommit() is True
        other.rollback()
    assert "view public.shops" in catalog.read(opened)


def test_a_locked_table_leaves_an_open_transaction_usable(opened: BaseDatabaseWrapper) -> None:
    rows(name_of(opened), "CREATE TABLE shop (id int); CREATE VIEW shops AS SELECT id FROM shop")
    with connected(name_of(opened)) as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE shop IN ACCESS EXCLUSIVE MODE")
        opened.set_autocommit(False)
        with pytest.raises(catalog.CatalogLocked):
            catalog.read(opened)
        assert found_by(opened, "SELECT 1") == (1,)
        opened.rollback()
        opened.set_autocommit(True)


def test_a_role_that_may_only_read_the_catalogue_reads_the_same(opened: BaseDatabaseWrapper) -> None:
    rows(name_of(opened), EXOTIC)
    want = catalog.read(opened)
    try:
        with opened.cursor() as cursor:
            cursor.execute("CREATE ROLE catalog_reader")
            cursor.execute("SET SESSION AUTHORIZATION catalog_reader")
            with pytest.raises(DatabaseError, match="permission denied"):
                cursor.execute("SELECT count(*) FROM product")
        assert catalog.read(opened) == want
    finally:
        opened.close()
        rows(name_of(opened), "DROP ROLE IF EXISTS catalog_reader")


def test_an_index_whose_making_failed_is_invalid_and_one_that_is_being_made_says_so(
    opened: BaseDatabaseWrapper,
) -> None:
    name = name_of(opened)
    rows(name, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        rows(name, "CREATE UNIQUE INDEX CONCURRENTLY failed ON t (a)")
    with connected(name) as writer:
        writer.autocommit = False
        with writer.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (2)")
        building = threading.Thread(target=rows, args=(name, "CREATE INDEX CONCURRENTLY slow ON t (a)"))
        building.start()
        for _ in range(200):
            found = catalog.read(opened)
            if found.get("index public.slow", {}).get("building"):
                break
        writer.rollback()
    building.join()
    assert [found[f"index public.{one}"]["building"] for one in ("failed", "slow")] == [False, True]
    assert [found[f"index public.{one}"]["valid"] for one in ("failed", "slow")] == [False, False]
    after = catalog.read(opened)["index public.slow"]
    assert (after["valid"], after["building"]) == (True, False)


def test_tables_that_come_and_go_meanwhile_do_not_break_the_reading(opened: BaseDatabaseWrapper) -> None:
    name = name_of(opened)
    rows(name, EXOTIC)
    ended = threading.Event()

    def change() -> None:
        with connected(name) as other, other.cursor() as cursor:
            while not ended.wait(0.02):
                cursor.execute("CREATE TABLE passing (id serial PRIMARY KEY, n int CHECK (n > 0))")
                cursor.execute("CREATE VIEW passing_view AS SELECT * FROM passing")
                cursor.execute("DROP TABLE passing CASCADE")

    changing = threading.Thread(target=change)
    changing.start()
    try:
        seen = [catalog.read(opened) for _ in range(10)]
    finally:
        ended.set()
        changing.join()
    # What stays is read each time, whatever comes and goes.
    want = catalog.read(opened)
    assert [{key: one[key] for key in want} for one in seen] == [want] * 10


def test_another_error_of_the_server_is_said_in_a_sentence(opened: BaseDatabaseWrapper) -> None:
    opened.settings_dict["NAME"] = "no_such_database"
    opened.close()
    with pytest.raises(DatabaseTrouble, match="Reading the catalogue of database 'no_such_database': "):
        catalog.read(opened)
