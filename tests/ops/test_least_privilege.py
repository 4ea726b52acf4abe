"""A role with the grants of docs/other-projects.md, and nothing else, carries runs out from beginning to end."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from django.db import connection
from psycopg2.errors import InsufficientPrivilege
from pytest_django.plugin import DjangoDbBlocker

from tests.ops.scratch import must, own_database, rows
from tests.ops.shop import ROOT, ended, manage

pytestmark = pytest.mark.django_db(transaction=True)

DATABASE = "hardened"
ROLE = "hardened_jobs"
# What is added to the docs' grants: the docs' target is somebody else's table.
TARGET = "shelf_counter"
SECRET = "only-for-tests"

FILL = "INSERT INTO shelf_counter (v, note, email) SELECT i, '', 'A' || i FROM generate_series(1, 3000) AS i"
# While the gate is at 1, every batch but a window's first waits in the server. (A sequence is read as it is now.)
GATE = """
CREATE SEQUENCE gate;
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    WHILE NEW.batch > 1 AND (SELECT last_value FROM public.gate) = 1 LOOP
        PERFORM pg_sleep(0.02);
    END LOOP;
    RETURN NEW;
END$$;
CREATE TRIGGER gate BEFORE INSERT ON ops_changeset FOR EACH ROW EXECUTE FUNCTION wait_at_gate();
"""


def grants() -> dict[str, str]:
    """Return the docs' statements in parts: what all need, what checks, schedules, pruning and more roles need."""
    text = (ROOT / "docs" / "other-projects.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    for theirs, ours in (
        ("shop_jobs", ROLE),
        ("DATABASE shop ", f"DATABASE {DATABASE} "),
        ("(label) ON stock_item", f"(v, note, email) ON {TARGET}"),
        ("choose one", SECRET),
    ):
        assert theirs in block
        block = block.replace(theirs, ours)
    return dict(
        zip(("run", "check", "schedules", "prune", "several"), re.split(r"-- Only [^\n]*:\n", block), strict=True)
    )


@pytest.fixture(scope="module")
def database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A hardened database: nothing is the public's but what ops makes for it."""
    with django_db_blocker.unblock(), own_database(DATABASE) as name:
        rows(name, f"DROP ROLE IF EXISTS {ROLE}")
        rows(name, f"REVOKE ALL ON DATABASE {name} FROM public")
        rows(name, "REVOKE ALL ON SCHEMA public FROM public")
        must(name, "migrate", "--verbosity", "0")
        rows(name, grants()["run"])
        rows(name, grants()["schedules"])
        try:
            yield name
        finally:
            rows(name, f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


@pytest.fixture(autouse=True)
def _clean(database: str) -> Iterator[None]:
    yield
    rows(database, "DROP FUNCTION IF EXISTS wait_at_gate CASCADE; DROP SEQUENCE IF EXISTS gate")
    rows(database, f"TRUNCATE {TARGET}, ops_run, ops_changeset CASCADE")


def start(*words: str) -> "subprocess.Popen[str]":
    """Start `manage.py` as the role."""
    return manage(*words, DB_NAME=DATABASE, DB_USER=ROLE, DB_PASS=SECRET)


def did(*words: str) -> str:
    """Run `manage.py` as the role, where it must succeed; return what it printed."""
    code, out, err = ended(start(*words))
    assert code == 0, f"{words}: {out}{err}"
    return out


def as_role(statement: str) -> None:
    settings = connection.settings_dict
    opened = psycopg2.connect(
        dbname=DATABASE, host=settings["HOST"], port=settings["PORT"] or None, user=ROLE, password=SECRET
    )
    try:
        with opened, opened.cursor() as cursor:
            cursor.execute(statement)
    finally:
        opened.close()


def newest() -> int:
    return int(str(rows(DATABASE, "SELECT max(id) FROM ops_run")[0][0]))


def wait_for(query: str) -> None:
    deadline = time.monotonic() + 30
    while not rows(DATABASE, query):
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


def test_it_can_do_nothing_else() -> None:
    rows(DATABASE, FILL)
    for statement in (
        "CREATE TABLE public.mine (id integer)",
        "CREATE SCHEMA mine",
        "ALTER TABLE ops_run ADD COLUMN mine integer",
        "DROP TABLE ops_changeset",
        "TRUNCATE ops_run",
        "DELETE FROM ops_run",
        "UPDATE ops_runevent SET who = 'nobody'",
        "UPDATE ops_changeset SET before = after",
        "SELECT ops_drop_month('2020-01-01')",
        f"DELETE FROM {TARGET}",
        f"UPDATE {TARGET} SET id = id + 1",
        "SELECT * FROM billing_subscription",
        "SELECT * FROM auth_user",
    ):
        with pytest.raises(InsufficientPrivilege):
            as_role(statement)
    as_role(f"UPDATE {TARGET} SET note = note")


def test_the_check_agrees_with_the_docs() -> None:
    rows(DATABASE, grants()["check"])
    assert "no issues" in did("check", "--database", "default", "--fail-level", "WARNING")
    missing = f"GRANT TEMPORARY ON DATABASE {DATABASE} TO {ROLE}; GRANT UPDATE ON TABLE ops_run TO {ROLE};"
    rows(DATABASE, missing.replace("GRANT", "REVOKE").replace("TO", "FROM"))
    try:
        code, _, err = ended(start("check", "--database", "default", "--fail-level", "WARNING"))
        assert code == 1
        assert "ops.W002" in err
        assert f"HINT: As the owner, in psql: {missing}" in err
    finally:
        rows(DATABASE, missing)


def test_it_plans_applies_traces_reverts_and_lifts() -> None:
    rows(DATABASE, FILL)
    assert "3,000 would change" in did("run_job", "shelf.normalise", "--dry-run")
    said = did("run_job", "shelf.normalise", "--no-input", "--workers", "2", "--batch-size", "200", "--verify")
    assert "3,000 rows written" in said
    assert rows(DATABASE, "SELECT count(*) FROM shelf_counter WHERE note = 'v is ' || v") == [(3000,)]
    run = newest()
    events = {event["what"] for event in json.loads(did("runs", "show", str(run), "--json"))["events"]}
    assert events == {"opened", "done"}
    ((key,),) = rows(DATABASE, "SELECT min(id) FROM shelf_counter")
    assert "v is 1" in did("runs", "history", "shelf.Counter", str(key))
    assert "3,000 rows set back" in did("runs", "revert", str(run), "--no-input")
    assert rows(DATABASE, "SELECT count(*) FROM shelf_counter WHERE note = ''") == [(3000,)]
    assert "3,000 holds lifted" in did("runs", "lift", str(newest()))


def test_it_carries_out_jobs_with_a_statement_of_their_own_and_backfills() -> None:
    rows(DATABASE, FILL)
    did("run_job", "shelf.increment", "--no-input", "--batch-size", "500")
    assert rows(DATABASE, "SELECT sum(v) FROM shelf_counter") == [(3000 * 3001 // 2 + 3000,)]
    did("backfill", "shelf.Counter.email", "--value", "lower(email)", "--where", "v > 1000", "--no-input")
    assert rows(DATABASE, "SELECT count(*) FROM shelf_counter WHERE email = lower(email)") == [(2001,)]
    found = json.loads(did("jobs", "--json"))["jobs"]
    assert [one["last_run"]["state"] for one in found if one["last_run"]] == ["done", "done"]


def test_it_loads_and_takes_a_load_back(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "other-projects.md").read_text(encoding="utf-8")
    (grant,) = re.findall(r"`(GRANT SELECT, INSERT, UPDATE, DELETE ON stock_item TO shop_jobs)`", text)
    rows(DATABASE, grant.replace("stock_item", "shelf_hit").replace("shop_jobs", ROLE))
    rows(DATABASE, "INSERT INTO shelf_hit (digest, count) VALUES ('d1', 7)")
    path = tmp_path / "hits.csv"
    path.write_text("digest,count\n" + "".join(f"d{i},{i}\n" for i in range(500)) + "bad,x\n")
    said = did("upsert", "shelf.Hit", str(path), "--no-input", "--verify", "--batch-size", "100", "--workers", "2")
    assert "499 inserted, 1 updated, 0 unchanged, 0 merged, 1 rejected. Compared again: 0 rows differ." in said
    run = newest()
    assert "no whole number" in did("runs", "rejects", str(run))
    assert rows(DATABASE, "SELECT count(*) FROM pg_class WHERE relname ~ '^ops_(stage|merge)_'") == [(0,)]
    assert "500 rows set back" in did("runs", "revert", str(run), "--no-input")
    assert rows(DATABASE, "SELECT digest, count FROM shelf_hit") == [("d1", 7)]
    rows(DATABASE, "TRUNCATE shelf_hit")


def test_it_pauses_retunes_and_resumes() -> None:
    rows(DATABASE, FILL)
    rows(DATABASE, GATE)
    working = start("run_job", "shelf.normalise", "--no-input", "--batch-size", "100")
    wait_for("SELECT 1 FROM ops_changeset")
    did("runs", "pause", str(newest()))
    rows(DATABASE, "SELECT setval('gate', 2)")
    code, _, err = ended(working)
    assert code == 4, err
    did("runs", "retune", str(newest()), "--batch-size", "1000")
    did("runs", "resume", str(newest()), "--no-input")
    assert rows(DATABASE, "SELECT count(*) FROM shelf_counter WHERE note = 'v is ' || v") == [(3000,)]


def test_it_sweeps_what_was_killed() -> None:
    rows(DATABASE, FILL)
    rows(DATABASE, GATE)
    working = start("run_job", "shelf.normalise", "--no-input", "--batch-size", "100")
    wait_for("SELECT 1 FROM ops_changeset")
    os.kill(working.pid, signal.SIGKILL)
    working.communicate()
    rows(DATABASE, "SELECT setval('gate', 2)")
    wait_for(
        "SELECT 1 FROM ops_run AS r WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity AS a WHERE a.pid = r.backend_pid)"
    )
    assert f"Run {newest()} of shelf.normalise: done" in did("sweep")
    assert rows(DATABASE, "SELECT count(*) FROM shelf_counter WHERE note = 'v is ' || v") == [(3000,)]


def make_old(run: int) -> None:
    """Let a run have been opened, and have ended, in January 2025."""
    rows(DATABASE, "UPDATE ops_run SET created_at = '2025-01-10', finished_at = '2025-01-10' WHERE id = %s", [run])
    rows(DATABASE, "SELECT ops_open_month('2025-01-01')")
    rows(DATABASE, "UPDATE ops_changeset SET month = '2025-01-01' WHERE run_id = %s", [run])


def test_it_prunes_once_that_is_granted_and_not_before() -> None:
    rows(DATABASE, FILL)
    did("run_job", "shelf.normalise", "--no-input")
    make_old(newest())
    code, _, err = ended(start("runs", "prune", "--older-than", "30", "--no-input"))
    assert code == 1
    assert "the database role lacks a privilege" in err
    assert rows(DATABASE, "SELECT count(*) FROM ops_run") == [(1,)]
    rows(DATABASE, grants()["prune"])
    assert "1 run pruned" in did("runs", "prune", "--older-than", "30", "--no-input")
    assert rows(DATABASE, "SELECT count(*) FROM ops_run") == [(0,)]
    assert rows(DATABASE, "SELECT to_regclass('ops_changeset_2025_01')") == [(None,)]


def test_the_function_that_prunes_believes_no_table_of_the_callers() -> None:
    """It runs as its owner: a temporary ops_run of the caller's must not make a month of an open run droppable."""
    rows(DATABASE, grants()["prune"])
    rows(DATABASE, FILL)
    did("run_job", "shelf.normalise", "--no-input")
    make_old(newest())
    rows(DATABASE, "UPDATE ops_run SET state = 'paused'")
    empty = "CREATE TEMPORARY TABLE ops_run (created_at timestamptz, state text)"
    with pytest.raises(psycopg2.Error, match="is unfinished"):
        as_role(f"{empty}; SELECT ops_drop_month('2025-01-01')")


@pytest.mark.soak
def test_a_live_run_of_another_role_is_left_alone() -> None:
    """Without pg_read_all_stats a role is not told what another role's session is, but that it is."""
    rows(DATABASE, FILL)
    rows(DATABASE, GATE)
    theirs = manage("run_job", "shelf.normalise", "--no-input", "--batch-size", "100", DB_NAME=DATABASE)
    wait_for("SELECT 1 FROM ops_changeset")
    assert "No run is stale." in did("sweep")
    code, _, err = ended(start("run_job", "shelf.normalise", "--no-input"))
    assert code == 3
    assert "is being carried out by" in err
    joined = did("runs", "join", str(newest()))
    assert "0 rows written by this hand" in joined
    rows(DATABASE, "SELECT setval('gate', 2)")
    code, out, err = ended(theirs)
    assert code == 0, out + err
    assert rows(DATABASE, "SELECT count(*) FROM ops_runevent WHERE what IN ('resumed', 'window taken')") == [(0,)]


def test_the_grant_for_several_roles_shows_their_sessions() -> None:
    hidden = (
        "DO $$BEGIN IF EXISTS (SELECT 1 FROM pg_stat_activity WHERE usename <> current_user "
        "AND backend_start IS NULL) THEN RAISE 'hidden'; END IF; END$$"
    )
    # Django's own connection to the suite's database is there to be seen.
    with pytest.raises(psycopg2.Error, match="hidden"):
        as_role(hidden)
    rows(DATABASE, grants()["several"])
    try:
        as_role(hidden)
    finally:
        rows(DATABASE, f"REVOKE pg_read_all_stats FROM {ROLE}")
