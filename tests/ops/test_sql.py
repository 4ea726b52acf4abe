"""Every file of sql/ held against the server."""

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader

from billing import jobs as billing_jobs
from billing.checks import functions
from ops import sql
from ops.engine.session import Session
from ops.engine.staging import stage
from tests.ops.shop import EVERYTHING, make_shop

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(sql.names())
VERBS = {
    "analyze",
    "bind",
    "checkpoint",
    "claim",
    "convert",
    "count",
    "create",
    "delete",
    "drop",
    "find",
    "finish",
    "list",
    "lock",
    "make",
    "mark",
    "merge",
    "open",
    "price",
    "release",
    "rename",
    "revoke",
    "set",
    "settle",
    "stage",
    "total",
}
pytestmark = pytest.mark.django_db

PREPARED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


SAMPLE = (
    "billing/create_sample_line.sql",
    "billing/stage_sample_orders.sql",
    "billing/stage_sample_clients.sql",
    "billing/stage_sample_services.sql",
    "billing/stage_sample_pairs.sql",
)


# What has to go before a statement can make it again, can drop what it needs, or has what it calls.
FIRST = {
    "billing/create_zone_check.sql": "billing/drop_zone_check.sql",
    "billing/create_triggers.sql": "billing/drop_triggers.sql",
    "billing/drop_functions.sql": "billing/drop_triggers.sql",
    "billing/drop_known_zone.sql": "billing/drop_partner_zone_check.sql",
    "ops/find_expression.sql": "ops/create_expression_check.sql",
    "ops/create_open_staging.sql": "ops/drop_load_functions.sql",
    "ops/create_open_merge.sql": "ops/drop_load_functions.sql",
    "ops/create_settle_merge.sql": "ops/drop_load_functions.sql",
    "ops/create_drop_staging.sql": "ops/drop_load_functions.sql",
    "ops/create_input_error.sql": "ops/drop_load_functions.sql",
    "ops/create_version_sequence.sql": "ops/drop_version_sequence.sql",
}

NOBODY = "00000000-0000-0000-0000-000000000000"
AUDIT = {"ops/create_repair.sql": "ops_repair", "ops/create_repair_entry.sql": "ops_repair_entry"}

# The values of statements for which a null means nothing.
VALUES: dict[str, dict[str, Any]] = {
    "ops/drop_staging.sql": {"load": 1},
    "ops/set_rollup_triggers.sql": {
        "report": "a report",
        "digest": "",
        "relation": "billing_upload",
        "time_column": "uploaded_at",
        "grain": "day",
        "zone": "UTC",
        "touch": "a_function",
    },
    "ops/find_bumped.sql": {"name": "cache:a name", "tag": ""},
    "ops/merge_anomaly.sql": {"kind": "a kind", "key": "a key", "detail": "", "times": 1},
    "ops/merge_missed_slots.sql": {
        "schedule": "a schedule",
        "first": "2026-01-01",
        "last": "2026-01-01",
        "count": 1,
        "reason": "",
        "frontier": "2026-01-01",
    },
    # Repairs make the tables of their audit by themselves.
    "ops/merge_repair_entry.sql": {
        "repair": NOBODY,
        "step": 1,
        "code": "",
        "object_key": "",
        "title": "",
        "kind": "",
        "state": "",
        "detail": "",
        "statements": [],
        "undo_statements": [],
        "transactional": True,
    },
    "ops/merge_repair_history.sql": {"app": "an app", "name": "a name"},
    "ops/merge_repair_history_row.sql": {"id": 0, "app": "an app", "name": "a name", "applied": "2026-01-01"},
    "ops/open_repair.sql": {
        "repair": NOBODY,
        "who": "",
        "started_from": "",
        "host": "",
        "pid": 1,
        "guard_pid": 1,
        "worker_pid": 1,
        "plan_snapshot": "",
        "plan_mode": "",
        "choices": "{}",
        "code_version": "",
    },
    "ops/set_repair_session.sql": {"lock_timeout": "0", "search_path": "public", "role": ""},
    "ops/set_repair_limit.sql": {"lock_timeout": "0"},
    "ops/set_repair_lock_timeout.sql": {"lock_timeout": "0"},
    "ops/merge_schedule.sql": {"name": "a schedule", "rule": "", "now": "2026-01-01"},
    "ops/open_merge.sql": {"load": 1, "relation": "billing_client", "taken": ["name"]},
    "ops/open_staging.sql": {"load": 1, "width": 1},
    "ops/settle_merge.sql": {"load": 1},
    "ops/drop_month.sql": {"month": "2020-01-01"},
    "ops/find_expression.sql": {"statement": "SELECT 1"},
    "ops/open_month.sql": {"month": "2020-01-01"},
}


def loaded_by(path: Path) -> list[str]:
    """Return the statements that a module names, in its order."""
    return re.findall(r'"((?:ops|billing)/\w+\.sql)"', path.read_text(encoding="utf-8"))


# They make the tables of today from those of 0.1, once and in this order.
FROM_0_1 = loaded_by(ROOT / "ops" / "migrations" / "0002_engine.py")

UNDO = """
DROP TABLE ops_changeset;
DROP FUNCTION ops_open_month(date), ops_drop_month(date);
DROP FUNCTION ops_append_only() CASCADE
"""


def as_before(name: str) -> None:
    """Make changesets what they are when the migration from 0.1 comes to a statement."""
    old = MigrationLoader(connection).project_state(("ops", "0001_initial")).apps.get_model("ops", "Changeset")
    # Whose first step is to drop it.
    old._meta.constraints = [one for one in old._meta.constraints if one.name != "ops_changeset_batch"]
    with connection.cursor() as cursor:
        cursor.execute(UNDO)
        with connection.schema_editor() as editor:
            editor.create_model(old)
        for made in FROM_0_1[: FROM_0_1.index(name)]:
            cursor.execute(nulls(made))


def prepared(name: str) -> None:
    """Make what a statement reads that is no table of the models."""
    session = Session("default")
    if name in FROM_0_1:
        as_before(name)
        return
    values = {"services": None, "plans": None, "clients": None, "as_of": None, "run": None}
    # The view over the marked ones and the view over all have one name; both forms are staged by their own tests.
    stage(session, billing_jobs.Reprice(), {**EVERYTHING, "dirty": True}, values)
    if "repair" in name:
        with connection.cursor() as cursor:
            for made, table in AUDIT.items():
                statement = sql.load(made)
                cursor.execute(statement.compose(**dict.fromkeys(statement.idents, table)))
    if "sample" in name:
        for made in SAMPLE:
            if made == name:
                break
            session.execute(made)
    if "raise" in name and not name.startswith("billing/stage"):
        session.execute("billing/stage_raise.sql", {"percent": None, "best_selling": 0, "since": None})
    if name in FIRST:
        session.execute(FIRST[name])
    if name == "ops/settle_merge.sql":
        for opening in ("ops/open_staging.sql", "ops/open_merge.sql"):
            session.execute(opening, VALUES[opening])


def nulls(name: str) -> str:
    """Return a statement with every value a null, but those of VALUES: the files cast each, so its type is known."""
    statement = sql.load(name)
    with connection.cursor() as cursor:
        composed = statement.compose(**dict.fromkeys(statement.idents, "billing_subscription"))
        values = {**dict.fromkeys(statement.params), **VALUES.get(name, {})}
        found: bytes = cursor.mogrify(composed, values)
    return found.decode()


def test_there_are_files() -> None:
    assert len(NAMES) > 40


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_named_by_a_verb_and_an_object(name: str) -> None:
    assert re.fullmatch(r"(ops|billing)/[a-z]+(_[a-z]+)+\.sql", name)
    assert Path(name).name.partition("_")[0] in VERBS


def test_every_verb_is_in_use() -> None:
    assert {Path(name).name.partition("_")[0] for name in NAMES} == VERBS


@pytest.mark.parametrize("name", NAMES)
def test_a_file_loads_and_is_loaded_by_something(name: str) -> None:
    assert sql.load(name).name == name
    users = [
        path
        for directory in ("ops", "billing", "bench")
        for path in (ROOT / directory).rglob("*.py")
        if f'"{name}"' in path.read_text(encoding="utf-8")
    ]
    assert users != []


@pytest.mark.parametrize("name", NAMES)
def test_every_value_in_a_file_has_a_cast(name: str) -> None:
    body = sql.load(name).body
    assert re.findall(r"%\(\w+\)s(?!::)", body) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_server_accepts_a_file(name: str) -> None:
    text = nulls(name)
    if text.startswith("SET TRANSACTION"):
        # Only the first statement of a transaction may say so.
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("read committed",)
        return
    prepared(name)
    with connection.cursor() as cursor:
        if text.startswith(PREPARED):
            cursor.execute(f"PREPARE held_against_the_server AS {text}")
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name = 'held_against_the_server'")
            assert cursor.fetchone() == (1,)
            cursor.execute("DEALLOCATE held_against_the_server")
        elif text.startswith("COPY"):
            cursor.copy_expert(text, StringIO())
            assert cursor.rowcount == 0
        else:
            cursor.execute(text)
            # CREATE TABLE .. AS answers with the number of rows that it selected.
            assert cursor.statusmessage.split()[0] in (text.split()[0], "SELECT")


RETURNING = [name for name in NAMES if sql.load(name).returns]


@pytest.mark.parametrize("name", RETURNING)
def test_a_file_returns_the_columns_of_its_header(name: str) -> None:
    make_shop(20)
    prepared(name)
    statement = sql.load(name)
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(nulls(name))
        assert tuple(column.name for column in cursor.description) == statement.returns
        transaction.set_rollback(True)


def test_what_returns_nothing_says_so() -> None:
    silent = ("CREATE", "DROP", "DO", "SET", "COPY", "ANALYZE", "LOCK", "ALTER", "REVOKE")
    wrong = [name for name in NAMES if name not in RETURNING and not sql.load(name).body.startswith(silent)]
    # Nobody hears what a migration writes, or what was forgotten.
    wrong = [
        name
        for name in wrong
        if "RETURNING" in sql.load(name).body or not (name in FROM_0_1 or sql.load(name).body.startswith("DELETE"))
    ]
    # A lock is taken by SELECT; what it returns means nothing.
    assert [name for name in wrong if not Path(name).name.startswith("lock_")] == []


def test_the_functions_in_the_database_are_those_of_the_files() -> None:
    files = functions()
    assert {name for name, _ in files.values()} == {
        name
        for name in NAMES
        if name.startswith("billing/") and sql.load(name).body.startswith("CREATE OR REPLACE FUNCTION")
    }
    assert {function: f"billing/create_{function.removeprefix('billing_')}.sql" for function in files} == {
        function: name for function, (name, _) in files.items()
    }
    assert dict(Session("default").execute("billing/list_functions.sql")) == {
        function: body for function, (_, body) in files.items()
    }
