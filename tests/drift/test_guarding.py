"""Whom the guard keeps out, whom it lets pass, and what it says of who is in the way: two and three connections."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from django.db import connections

from ops.drift import direct, guarding
from ops.drift.guarding import Direct, guard
from ops.engine.plan import Refused
from ops.engine.session import DatabaseTrouble
from tests.drift import repairing
from tests.drift.repairing import ALIAS, apply, ask, audit, column, history, index, recorded, states, table
from tests.ops.scratch import connected

NAME = "repair_guarding"


@pytest.fixture(autouse=True)
def _shop(db: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), repairing.shop(NAME):
        yield


def until(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (it := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return it


def test_a_second_repair_is_refused_and_told_who_is_at_it() -> None:
    with guard(ALIAS) as held:
        with pytest.raises(Refused) as refused:
            apply(column("colour"))
        with (
            pytest.raises(Refused, match=f"process {held.direct.pid} ") as deploying,
            guard(ALIAS, wait=0.1, history=False),
        ):
            pass
    words = str(refused.value)
    # It holds two locks, and is one.
    assert words.count(f"process {held.direct.pid} ") == 1
    assert f"process {held.direct.pid} (setwise repair guard, user " in words
    assert "idle in transaction, last: LOCK TABLE django_migrations IN SHARE ROW EXCLUSIVE MODE" in words
    assert "being worked on by somebody else" in str(deploying.value)
    assert apply(column("colour")).state == "done"


def test_who_writes_history_is_named() -> None:
    with connected(NAME) as other:
        cursor = other.cursor()
        cursor.execute("SET application_name = 'a deployment'; BEGIN")
        cursor.execute("DELETE FROM django_migrations WHERE id = 99")
        with pytest.raises(
            Refused, match=r"\(a deployment, user .* idle in transaction, last: DELETE FROM django_migr"
        ):
            apply(column("colour"))
    assert ask("SELECT to_regclass('ops_repair')") == [(None,)]


def test_history_can_be_read_meanwhile_and_not_be_written() -> None:
    with guard(ALIAS) as held, connected(NAME) as other:
        cursor = other.cursor()
        cursor.execute("SELECT count(*) FROM django_migrations")
        assert cursor.fetchone() == (4,)
        cursor.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('a', 'b', now())")
        held.release()
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('a', 'b', now())")
    assert history()[-1][:2] == ("a", "b")


def test_with_the_advisory_lock_alone_history_can_be_written() -> None:
    with guard(ALIAS, history=False):
        ask("INSERT INTO django_migrations (app, name, applied) VALUES ('a', 'b', now())")
        with pytest.raises(Refused):
            apply(column("colour"))
    assert history()[-1][:2] == ("a", "b")


MIGRATE = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes"], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": %r, "HOST": %r, "PORT": %r,
        "USER": %r, "PASSWORD": %r}},
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
"""


def migrate() -> "subprocess.Popen[str]":
    """Start Django's own migrate on the test's database."""
    told = connections.databases[ALIAS]
    code = MIGRATE % tuple(str(told[name] or "") for name in ("NAME", "HOST", "PORT", "USER", "PASSWORD"))
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def test_djangos_own_migrate_waits_for_the_end_of_a_repair() -> None:
    with guard(ALIAS) as held:
        process = migrate()
        assert until(held.waiting)
        assert process.poll() is None
        assert len(history()) == 4
        held.release()
        assert (process.communicate(timeout=100)[1], process.returncode) == ("", 0)
    assert [row[1] for row in history()][4:] == ["0001_initial", "0002_remove_content_type_name"]


def test_a_repair_records_nothing_while_a_migrate_waits_that_may_record_it_itself() -> None:
    process: list[subprocess.Popen[str]] = []

    def begin(*told: object) -> None:
        if not process:
            process.append(migrate())
            until(lambda: ask("SELECT 1 FROM pg_locks WHERE NOT granted"))

    outcome = apply(column("colour"), recorded("0009_new"), progress=begin)
    assert (process[0].communicate(timeout=100)[1], process[0].returncode) == ("", 0)
    assert [(one.title, one.state) for one in outcome.steps] == [("add colour", "done"), ("record 0009_new", "left")]
    assert "waits to write history, a migrate that may record shop.0009_new itself" in outcome.steps[1].detail
    assert [row[1] for row in history()][4:] == ["0001_initial", "0002_remove_content_type_name"]


def test_concurrently_does_not_wait_for_the_guard() -> None:
    with guard(ALIAS), connected(NAME) as other:
        cursor = other.cursor()
        cursor.execute("SET lock_timeout = '2s'")
        cursor.execute("CREATE INDEX CONCURRENTLY by_name ON shop_product (name)")
        assert repairing.objects()["index public.by_name"]["valid"] is True


def test_a_repair_whose_guard_is_lost_stops_before_its_next_step() -> None:
    def end_guard(*told: object) -> None:
        ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'setwise repair guard'")

    with pytest.raises(guarding.Lost, match=r"The repair's guard \(server process \d+\) was lost"):
        apply(table("shop_tag"), column("colour"), recorded("0009_new"), progress=end_guard)
    assert audit() == [("create shop_tag", "done")]
    assert states() == ["failed"]
    assert len(history()) == 4
    assert apply(column("colour"), recorded("0009_new")).state == "done"


def test_a_repair_whose_working_connection_is_lost_says_so() -> None:
    def end_worker(*told: object) -> None:
        ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'setwise repair'")

    with pytest.raises(guarding.Lost, match="The repair's connection was lost at add colour"):
        apply(table("shop_tag"), column("colour"), progress=end_worker)
    assert states() == ["running"]
    assert apply(column("colour")).state == "done"
    assert states() == ["interrupted", "done"]


class Pooled:
    """What libpq tells of a connection through a pooler: another server process than the one that answers."""

    class info:  # noqa: N801 - as psycopg2 calls it
        backend_pid = 1

    def __init__(self, opened: Any) -> None:
        self.opened = opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self.opened, name)


def test_a_pooler_in_between_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = psycopg2.connect

    def pooled(**params: Any) -> Any:
        return Pooled(connect(**params)) if params.get("application_name") == "setwise repair" else connect(**params)

    monkeypatch.setattr(guarding.psycopg2, "connect", pooled)
    with pytest.raises(Refused, match=r'set OPS_DIRECT_DATABASES = \{"repaired": \{"HOST": .., "PORT": ..\}\}'):
        Direct.open(ALIAS, "setwise repair", 1)


def test_the_setting_says_where_the_server_itself_listens(settings: Any) -> None:
    settings.OPS_DIRECT_DATABASES = {ALIAS: {"HOST": "/nowhere", "PORT": "7"}}
    assert {name: direct.direct_params(ALIAS)[name] for name in ("host", "port", "dbname")} == {
        "host": "/nowhere", "port": "7", "dbname": NAME
    }  # fmt: skip
    with pytest.raises(DatabaseTrouble, match="Connecting to database 'repaired' for setwise repair: "):
        Direct.open(ALIAS, "setwise repair", 1)


def test_its_path_is_djangos_and_nothing_but_a_lock_ends_its_waits() -> None:
    direct = Direct.open(ALIAS, "setwise repair", 1)
    asked = (
        "search_path",
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "application_name",
    )
    found = [direct.run(f"SHOW {name}")[0][0] for name in asked]
    direct.close()
    assert found == ['"$user", public', "1s", "0", "0", "setwise repair"]


def test_who_may_not_write_history_is_refused() -> None:
    role = "repair_reader"
    ask(f"DROP ROLE IF EXISTS {role}")
    ask(f"CREATE ROLE {role}")
    ask(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    connections.databases[ALIAS]["OPTIONS"] = {"assume_role": role}
    connections[ALIAS].close()
    try:
        with pytest.raises(Refused, match="This role may not write django_migrations in database 'repaired'"):
            apply(column("colour"))
    finally:
        connections.databases[ALIAS]["OPTIONS"] = {}
        ask(f"DROP OWNED BY {role}")
        ask(f"DROP ROLE {role}")


def test_a_build_that_fails_leaves_no_index_and_says_why() -> None:
    ask("UPDATE shop_product SET name = 'one' WHERE id < 3")
    outcome = apply(index("by_name", unique="UNIQUE "))
    assert [(one.state, one.detail) for one in outcome.steps] == [
        ("failed", "could not create unique index \"by_name\" (Key (name)=(one) is duplicated)")
    ]  # fmt: skip
    assert "index public.by_name" not in repairing.objects()
    assert audit() == [("build by_name", "failed")]


def test_a_build_that_waits_for_too_long_says_what_it_left_and_goes_on_with_it() -> None:
    with connected(NAME) as other:
        other.cursor().execute("BEGIN; DELETE FROM shop_product WHERE id = 1")
        outcome = apply(index("by_name"), concurrent=0.2, retries=1)
        assert outcome.steps[0].state == "failed"
        assert outcome.steps[0].detail.startswith("canceling statement due to lock timeout")
        assert outcome.steps[0].detail.endswith("an index that is not valid, could not be dropped yet")
        timer = threading.Timer(2, other.cursor().execute, ["COMMIT"])
        timer.start()
        outcome = apply(index("by_price", "price"), concurrent=0.5)
        timer.join()
    assert outcome.steps[0].state == "done"
    assert repairing.objects()["index public.by_price"]["valid"] is True


def test_an_invalid_helper_of_an_ended_repair_is_built_again_and_a_valid_one_is_used() -> None:
    ask("UPDATE shop_product SET name = 'one' WHERE id < 3")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        ask("CREATE UNIQUE INDEX CONCURRENTLY setwise_new_x ON shop_product (name)")
    assert repairing.objects()["index public.setwise_new_x"]["valid"] is False
    assert apply(index("setwise_new_x")).steps[0].state == "done"
    assert repairing.objects()["index public.setwise_new_x"]["valid"] is True
    before = ask("SELECT 'setwise_new_x'::regclass::oid")
    outcome = apply(index("setwise_new_x"))
    assert outcome.steps[0].state == "done"
    assert ask("SELECT 'setwise_new_x'::regclass::oid") == before
    assert ask("SELECT detail FROM ops_repair_entry ORDER BY done_at DESC LIMIT 1") == [
        ("it was there, left by a repair that was ended",)
    ]  # fmt: skip


def test_threads_have_no_part_in_it() -> None:
    """Two repairs at once in one process: one of them is refused, and both tables of the audit are whole."""
    came: list[object] = []

    def one() -> None:
        try:
            came.append(apply(column("colour")).state)
        except Refused:
            came.append("refused")

    with guard(ALIAS):
        thread = threading.Thread(target=one)
        thread.start()
        thread.join()
    assert came == ["refused"]
