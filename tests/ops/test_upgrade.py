"""Upgrades with runs open: from 0.1.0, whose cursors and changesets were others, and to a version with other SQL.

What 0.1.0 left is inserted by SQL, with the columns and formats that it had; its slots had 10 bits.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extras import Json
from pytest_django.plugin import DjangoDbBlocker

from ops import sql
from ops.engine import run as engine
from ops.engine.lifecycle import Stopped
from ops.models import Run
from tests.ops.scratch import must, own_database, rows
from tests.ops.shop import EVERYTHING, MAKE, command, ended, job, manage, small
from tests.shelf.jobs import Normalise
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

OPEN = """
INSERT INTO ops_run (
    job, verb, scope, state, params, as_of, sql_digest, code_version, started_by, started_from, batch_size, atomic,
    plan, cursor, high_water, batches, changed, left_alone, fence, owner_host, owner_pid, backend_pid, backend_start,
    heartbeat_at, message, reverts_id, finished_at
) VALUES (
    'billing.reprice', %(verb)s, '*', %(state)s, %(params)s, now(), %(digest)s, '0.1.0', 'kim@host',
    'manage.py reprice', 100, false, %(plan)s, %(cursor)s, %(high_water)s, %(batches)s, %(changed)s, 0, 2,
    'gone.example', 1, 1, now() - interval '1 day', now(), '', %(reverts)s, CASE WHEN %(state)s = 'done' THEN now() END
) RETURNING id
"""
# Of the rows in these slots, what was kept and what is wanted; prices are what the changeset says was written.
BATCH = """
WITH q AS (
    SELECT
        s.id::text AS key, s.id,
        %(before)s::jsonb ->> s.id::text AS before, %(after)s::jsonb ->> s.id::text AS after
    FROM billing_subscription AS s
    CROSS JOIN LATERAL (SELECT hash_record_extended(ROW(s.id), 0) & 1023 AS slot) AS h
    WHERE h.slot >= %(from)s AND h.slot < %(upto)s
),

written AS (
    UPDATE billing_subscription AS s SET price = q.after::numeric FROM q WHERE s.id = q.id
)

INSERT INTO ops_changeset (run_id, batch, rows, slot_from, slot_upto, low, high, keys, before, after)
SELECT
    %(run)s, %(batch)s, count(*), %(from)s, %(upto)s, ARRAY[min(q.id)::text], ARRAY[max(q.id)::text],
    array_agg(q.key ORDER BY q.id), array_agg(q.before ORDER BY q.id), array_agg(q.after ORDER BY q.id)
FROM q
RETURNING rows, keys
"""
PLAN = {"looked_at": 400, "changes": 400, "held": 0, "refusals": 0, "refused": [], "largest": [], "amounts": []}


def prices(name: str) -> dict[str, str]:
    return {str(key): str(price) for key, price in rows(name, "SELECT id, price FROM billing_subscription")}


def old_digest() -> str:
    """Return the digest as 0.1.0 made it; another formula would refuse every run that is open at an upgrade."""
    found = job()
    parts = [found.name, found.target._meta.db_table, *found.columns]
    parts += [statement.digest for statement in found.statements(EVERYTHING)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def opened(name: str, verb: str, state: str, **more: Any) -> int:
    """Insert a run as 0.1.0 kept it."""
    given = {"cursor": None, "high_water": None, "batches": 0, "changed": 0, "reverts": None, "plan": PLAN, **more}
    kept = {key: Json(given[key]) if given[key] is not None else None for key in ("cursor", "high_water", "plan")}
    values = {**given, **kept, "verb": verb, "state": state, "params": Json(EVERYTHING), "digest": old_digest()}
    return int(str(rows(name, OPEN, values)[0][0]))


def written(
    name: str, run: int, batch: int, slots: tuple[int, int], before: dict[str, str], after: dict[str, str]
) -> list[str]:
    """Write a batch as 0.1.0 did; return its keys."""
    values = {"run": run, "batch": batch, "from": slots[0], "upto": slots[1]}
    found = rows(name, BATCH, {**values, "before": Json(before), "after": Json(after)})
    return list(found[0][1])  # type: ignore[call-overload]  # a text array


@pytest.fixture(scope="module")
def before(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A shop under 0.1.0, whose list prices have risen since the last run."""
    with django_db_blocker.unblock(), own_database("upgrade_before") as name:
        must(name, "migrate", "ops", "0001", "--verbosity", "0")
        must(name, "migrate", "billing", "--verbosity", "0")
        rows(name, MAKE, {"subscriptions": 400})
        rows(name, "UPDATE billing_service SET full_price = full_price * 1.07")
        yield name


@pytest.fixture(scope="module")
def wanted(before: str) -> dict[str, str]:
    """What one clean pass of this version leaves."""
    with own_database("upgrade_clean", template=before) as name:
        must(name, "migrate", "--verbosity", "0")
        must(name, "reprice", "--no-input")
        found = prices(name)
    assert sum(found[key] != price for key, price in prices(before).items()) == 400
    return found


@pytest.fixture
def old(before: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with own_database("upgrade_old", template=before) as name:
        yield name


def changesets(name: str, run: int) -> dict[str, tuple[str, str]]:
    """Return what a run's changesets say of each row; a row that is in two of them fails."""
    query = "SELECT unnest(keys), unnest(before), unnest(after) FROM ops_changeset WHERE run_id = %s"
    found = rows(name, query, [run])
    kept = {str(key): (str(old), str(new)) for key, old, new in found}
    assert len(kept) == len(found)
    return kept


def test_a_finished_run_can_be_shown_traced_and_reverted(old: str) -> None:
    now = prices(old)
    was = {key: f"{float(price) + 1:.4f}" for key, price in now.items()}
    run = opened(old, "apply", "done", batches=2, changed=400, cursor={"after": ["400"], "upto": None, "slot": 0})
    keys = [written(old, run, 1, (0, 512), was, now), written(old, run, 2, (512, 1024), was, now)]
    must(old, "migrate", "--verbosity", "0")

    shown = json.loads(must(old, "runs", "show", str(run), "--json"))
    assert (shown["state"], shown["changed"], shown["batches"], shown["code_version"]) == ("done", 400, 2, "0.1.0")
    assert "400 rows in 2 batches" in must(old, "runs", "show", str(run))
    for key in (keys[0][0], keys[1][-1]):
        (change,) = json.loads(must(old, "runs", "history", "billing.Subscription", key, "--json"))["changes"]
        assert (change["run"], change["before"], change["after"]) == (run, {"price": was[key]}, {"price": now[key]})
    assert changesets(old, run) == {key: (was[key], now[key]) for key in now}

    edited = keys[0][3]
    rows(old, "UPDATE billing_subscription SET price = 5 WHERE id = %s", [edited])
    said = must(old, "runs", "revert", str(run), "--no-input")
    assert "399 rows set back, 1 left alone" in said
    found = prices(old)
    assert float(found.pop(edited)) == 5
    del was[edited]
    assert {key: float(price) for key, price in found.items()} == {key: float(price) for key, price in was.items()}


@pytest.mark.parametrize("how", ["sweep", "resume", pytest.param("start", marks=pytest.mark.soak)])
def test_an_open_run_goes_on_and_ends_as_a_clean_pass(old: str, wanted: dict[str, str], how: str) -> None:
    was = prices(old)
    last = str(rows(old, "SELECT max(id) FROM billing_subscription")[0][0])
    cursor = {"after": None, "upto": [last], "slot": 512}
    run = opened(old, "apply", "running", cursor=cursor, high_water=[last], batches=1)
    done = written(old, run, 1, (0, 512), was, wanted)
    rows(old, "UPDATE ops_run SET changed = %s", [len(done)])
    rows(old, "UPDATE billing_mark SET run_id = %s", [run])
    assert 0 < len(done) < 400
    must(old, "migrate", "--verbosity", "0")

    assert [one["state"] for one in json.loads(must(old, "runs", "list", "--json"))["runs"]] == ["running"]
    words = {
        "sweep": ["sweep"],
        "resume": ["runs", "resume", str(run), "--no-input"],
        "start": ["reprice", "--no-input"],
    }
    must(old, *words[how])
    assert prices(old) == wanted
    # Nothing is written twice: each row is in one changeset, of the old version or of this one.
    assert changesets(old, run) == {key: (was[key], wanted[key]) for key in was}
    shown = json.loads(must(old, "runs", "show", str(run), "--json"))
    assert (shown["state"], shown["changed"]) == ("done", 400)
    assert rows(old, "SELECT count(*) FROM ops_run") == [(1,)]
    assert rows(old, "SELECT count(*) FROM billing_mark") == [(0,)]
    assert "400 rows set back, 0 left alone" in must(old, "runs", "revert", str(run), "--no-input")
    assert prices(old) == was


@pytest.mark.soak
def test_an_open_revert_goes_on_from_its_batch(old: str) -> None:
    now = prices(old)
    was = {key: f"{float(price) + 1:.4f}" for key, price in now.items()}
    run = opened(old, "apply", "done", batches=3, changed=400)
    slots = [(0, 341), (341, 682), (682, 1024)]
    keys = [written(old, run, batch, slots[batch - 1], was, now) for batch in (1, 2, 3)]
    plan = {"rows": 400, "back": 400, "left_alone": 0, "edited": []}
    changed = len(keys[1]) + len(keys[2])
    more = {"cursor": {"batch": 2}, "batches": 2, "changed": changed, "plan": plan}
    back = opened(old, "revert", "stopped", reverts=run, **more)
    for batch, of in ((1, 3), (2, 2)):
        written(old, back, batch, slots[of - 1], now, was)
        rows(
            old,
            "INSERT INTO ops_hold (job, key, wanted, run_id) "
            "SELECT 'billing.reprice', ARRAY[k], ARRAY[%s::jsonb ->> k], %s FROM unnest(%s) AS k",
            [Json(now), back, keys[of - 1]],
        )
    must(old, "migrate", "--verbosity", "0")

    said = must(old, "runs", "resume", str(back), "--no-input")
    assert "400 rows set back, 0 left alone" in said
    assert {k: float(v) for k, v in prices(old).items()} == {k: float(v) for k, v in was.items()}
    assert changesets(old, back) == {key: (now[key], was[key]) for key in now}
    holds = rows(old, "SELECT key[1], wanted[1], run_id FROM ops_hold")
    assert {(key, price) for key, price, _ in holds} == set(now.items())
    assert {run for *_, run in holds} == {back}


@pytest.mark.soak
def test_a_revert_that_had_not_begun_is_carried_on_by_a_sweep(old: str) -> None:
    now = prices(old)
    was = {key: f"{float(price) + 1:.4f}" for key, price in now.items()}
    run = opened(old, "apply", "done", batches=1, changed=400)
    written(old, run, 1, (0, 1024), was, now)
    back = opened(old, "revert", "running", reverts=run, plan=None)
    must(old, "migrate", "--verbosity", "0")
    assert f"Run {back} of billing.reprice: done" in must(old, "sweep")
    assert {k: float(v) for k, v in prices(old).items()} == {k: float(v) for k, v in was.items()}


def test_an_open_run_that_had_written_nothing_asks_again(old: str) -> None:
    was = prices(old)
    run = opened(old, "apply", "running", plan=None)
    must(old, "migrate", "--verbosity", "0")
    assert f"Run {run} of billing.reprice: cancelled, nobody had said yes to its plan" in must(old, "sweep")
    assert prices(old) == was


# To the next version, in which a job's statement has changed


NAME = "shelf/list_notes.sql"


@pytest.fixture
def next_version(half_done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a version whose file says something else."""
    file, path = tmp_path / "list_notes.sql", sql._path
    file.write_text(sql.load(NAME).text.replace("'v is '", "'value '"), encoding="utf-8")
    monkeypatch.setattr(sql, "_path", lambda name: file if name == NAME else path(name))
    sql._load.cache_clear()
    assert "'value '" in sql.load(NAME).body
    yield
    sql._load.cache_clear()


@pytest.fixture
def half_done() -> Run:
    """A run that was stopped after the first of its batches."""
    Counter.objects.bulk_create(Counter(v=i) for i in range(200))
    options = small()
    stopping = small(stop=options.stop, progress=lambda done, total: options.stop.set())
    with pytest.raises(Stopped):
        engine.apply(Normalise(), {}, stopping)
    run = Run.objects.get()
    assert run.state == "stopped"
    assert 0 < run.changed < 200
    return run


def notes() -> set[tuple[int, str]]:
    return set(Counter.objects.values_list("v", "note"))


def test_a_run_whose_statement_has_changed_is_refused_with_the_choice(half_done: Run, next_version: None) -> None:
    before = notes()
    for words in (
        ("runs", "resume", str(half_done.pk), "--no-input"),
        ("run_job", "shelf.normalise", "--no-input"),
    ):
        said = command(*words)
        assert said.code == 3
        assert said.error == (
            f"Run {half_done.pk} of shelf.normalise began under other code or SQL than is installed now: "
            f"'manage.py runs resume {half_done.pk} --as-begun' goes on under the SQL that it began with, "
            f"'manage.py runs cancel {half_done.pk}' gives it up, to start anew."
        )
    assert notes() == before


def test_as_begun_goes_on_under_the_kept_text(half_done: Run, next_version: None) -> None:
    said = command("runs", "resume", str(half_done.pk), "--no-input", "--as-begun")
    assert said.code == 0, said.error
    assert notes() == {(i, f"v is {i}") for i in range(200)}
    assert Run.objects.get().state == "done"
    # The next run is under the statement of the new version.
    assert command("run_job", "shelf.normalise", "--no-input").code == 0
    assert notes() == {(i, f"value {i}") for i in range(200)}


def test_cancelled_it_starts_anew_under_the_new_statement(half_done: Run, next_version: None) -> None:
    assert command("runs", "cancel", str(half_done.pk)).code == 0
    assert command("run_job", "shelf.normalise", "--no-input").code == 0
    assert notes() == {(i, f"value {i}") for i in range(200)}


def test_a_sweep_leaves_it_and_says_so(half_done: Run, next_version: None) -> None:
    Run.objects.update(state="running", backend_pid=0, owner_pid=0)
    before = notes()
    said = command("sweep")
    assert said.code == 3
    assert f"'manage.py runs resume {half_done.pk} --as-begun' goes on under the SQL" in said.error
    assert notes() == before


def test_a_run_of_0_1_0_whose_statement_has_changed_says_that_no_sql_was_kept(
    half_done: Run, next_version: None
) -> None:
    Run.objects.update(statements={})
    said = command("runs", "resume", str(half_done.pk), "--no-input", "--as-begun")
    assert said.code == 3
    assert said.error == (
        f"Run {half_done.pk} began under Setwise 0.1, which kept no SQL: give it up with "
        f"'manage.py runs cancel {half_done.pk}' and start anew."
    )


def test_the_upgrade_on_the_suites_own_database_is_complete() -> None:
    code, out, err = ended(manage("migrate", "--check"))
    assert code == 0, out + err
