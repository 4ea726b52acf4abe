"""`manage.py runs prune`: old runs are forgotten, months of changesets dropped whole, and nothing that is needed."""

import json
from collections.abc import Iterator

import pytest
from django.db import connection

from ops.models import Changeset, Run, RunEvent, Source
from tests.ops.counters import INCREMENT, make_counters, opened, stopped, values
from tests.ops.shop import Said, command, ended, manage, other_connection
from tests.ops.test_command_terminal import _terminals, terminal
from tests.ops.test_control import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

JANUARY, FEBRUARY = "2025-01-01", "2025-02-01"
PARTITIONS = {JANUARY: "ops_changeset_2025_01", FEBRUARY: "ops_changeset_2025_02"}


@pytest.fixture(autouse=True)
def _months() -> Iterator[None]:
    """Forget the partitions of the months that a test has made."""
    make_counters()
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS ops_changeset_2025_01, ops_changeset_2025_02")


def done() -> Run:
    """Return a run that added 1 to every counter, in batches of 100."""
    said = command(*INCREMENT, "--batch-size", "100")
    assert said.code == 0, said.error
    return opened()


def reverted(run: Run) -> Run:
    assert command("runs", "revert", str(run.pk), "--no-input").code == 0
    return opened()


def age(run: Run, month: str = JANUARY) -> Run:
    """Make a run one of a month long past, with its changesets in that month's partition."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT ops_open_month(%s)", [month])
        cursor.execute(
            "UPDATE ops_run SET created_at = %(at)s::timestamptz + interval '10 days', "
            "finished_at = CASE WHEN finished_at IS NOT NULL THEN %(at)s::timestamptz + interval '10 days' END "
            "WHERE id = %(run)s",
            {"at": month, "run": run.pk},
        )
        cursor.execute("UPDATE ops_changeset SET month = %s WHERE run_id = %s", [month, run.pk])
    run.refresh_from_db()
    return run


def partitions() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits AS i INNER JOIN pg_class AS c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'ops_changeset'::regclass"
        )
        return {name for (name,) in cursor.fetchall()}


def prune(*more: str) -> Said:
    return command("runs", "prune", "--older-than", "30", *more)


def kept() -> set[int]:
    return set(Run.objects.values_list("pk", flat=True))


# What goes


@pytest.mark.smoke
def test_months_all_of_whose_runs_go_are_dropped_and_recent_runs_stay() -> None:
    old = [age(done()), age(done()), age(done(), FEBRUARY)]
    recent = done()
    assert {name for name in partitions() if "2025" in name} == set(PARTITIONS.values())
    said = prune("--no-input")
    assert (said.code, said.error) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].startswith("3 runs ended before ")
    assert lines[1:] == [
        "with 12 changesets. Pruned runs can't be shown or reverted any more.",
        "Dropped whole: the changesets of 2025-01, 2025-02.",
        "3 runs pruned.",
    ]
    assert max(map(len, lines)) <= 80
    assert {name for name in partitions() if "2025" in name} == set()
    assert kept() == {recent.pk}
    assert not RunEvent.objects.exclude(run=recent).exists()
    assert Changeset.objects.count() == 4
    for run in old:
        assert command("runs", "show", str(run.pk)).code == 2
    assert command("runs", "revert", str(recent.pk), "--no-input").code == 0
    assert values() == {3: 400}


def test_a_month_in_which_a_run_is_kept_is_not_dropped() -> None:
    gone, stays = age(done()), age(stopped())
    found = json.loads(prune("--no-input", "--json").out)
    assert found == {"runs": 1, "changesets": 4, "months": [], "pruned": True}
    assert kept() == {stays.pk}
    assert PARTITIONS[JANUARY] in partitions()
    assert set(Changeset.objects.values_list("run", flat=True)) == {stays.pk}
    assert not RunEvent.objects.filter(run_id=gone.pk).exists()
    # It is whole: it goes on, and can be taken back.
    assert command("runs", "resume", str(stays.pk), "--no-input").code == 0
    assert command("runs", "revert", str(stays.pk), "--no-input").code == 0
    assert values() == {1: 400}


def test_the_texts_of_statements_that_no_run_needs_go_too() -> None:
    age(done())
    command("run_job", "shelf.normalise", "--no-input")
    assert set(Source.objects.values_list("name", flat=True)) == {
        "shelf/increment_counters.sql",
        "shelf/list_notes.sql",
    }
    prune("--no-input")
    assert set(Source.objects.values_list("name", flat=True)) == {"shelf/list_notes.sql"}


def test_old_plans_go_without_dropping_a_month() -> None:
    command("run_job", "shelf.increment", "--dry-run")
    age(opened())
    assert json.loads(prune("--no-input", "--json").out)["runs"] == 1
    assert kept() == set()


# What stays


def test_a_run_that_a_younger_revert_refers_to_stays_and_so_does_what_that_reverts() -> None:
    first = age(done())
    back = age(reverted(first))
    again = reverted(back)
    other = age(done())
    prune("--no-input")
    assert kept() == {first.pk, back.pk, again.pk}
    assert not Changeset.objects.filter(run=other.pk).exists()
    assert command("runs", "revert", str(again.pk), "--no-input").code == 0


def test_a_chain_goes_once_all_of_it_is_old_even_where_it_is_longer_than_one_commit() -> None:
    first = age(done())
    # More runs between a run and its revert than one commit of a prune takes.
    Run.objects.bulk_create(
        Run(
            job="shelf.normalise",
            verb="plan",
            scope=f"plan {i}",
            state="planned",
            as_of=first.as_of,
            created_at=first.created_at,
            finished_at=first.finished_at,
        )
        for i in range(250)
    )
    age(reverted(first))
    said = prune("--no-input")
    assert (said.code, said.error, kept()) == (0, "", set())


def test_a_revert_that_holds_rows_stays_until_its_holds_are_lifted() -> None:
    assert command("run_job", "shelf.normalise", "--no-input").code == 0
    run = age(opened())
    back = age(reverted(run))
    assert back.holds.count() == 400
    prune("--no-input")
    assert kept() == {run.pk, back.pk}
    command("runs", "lift", str(back.pk))
    prune("--no-input")
    assert kept() == set()


@pytest.mark.parametrize("state", ["running", "stopped", "paused"])
def test_an_unfinished_run_stays_however_old(state: str) -> None:
    run = age(stopped())
    Run.objects.filter(pk=run.pk).update(state=state)
    said = prune("--no-input")
    assert said.out.startswith("No run that ended before ")
    assert said.out.endswith(" can be pruned.\n")
    assert kept() == {run.pk}
    assert Changeset.objects.count() == 1


# Asking


def test_it_plans_only_with_dry_run() -> None:
    run = age(done())
    said = prune("--dry-run")
    assert (said.code, "Dropped whole: the changesets of 2025-01." in said.out, "pruned." in said.out) == (
        0,
        True,
        False,
    )
    found = json.loads(prune("--dry-run", "--json").out)
    assert found == {"runs": 1, "changesets": 4, "months": ["2025-01"], "pruned": False}
    assert kept() == {run.pk}
    assert PARTITIONS[JANUARY] in partitions()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "There is no terminal to ask at: add --no-input to write, or --dry-run to see the plan only."),
        (
            ("--json",),
            "--json prints one object and asks nothing: add --no-input to write, or --dry-run to see the plan only.",
        ),
    ],
)
def test_it_does_not_guess(words: tuple[str, ...], sentence: str) -> None:
    run = age(done())
    said = prune(*words)
    assert (said.code, said.error, said.out) == (2, sentence, "")
    assert kept() == {run.pk}


def test_the_number_of_days_is_needed() -> None:
    assert command("runs", "prune", "--no-input").code == 2
    said = command("runs", "prune", "--older-than", "0", "--no-input")
    assert (said.code, "'0' is not a whole number of at least 1" in said.error) == (2, True)


@pytest.mark.skipif(not _terminals(), reason="this machine hands out no pseudo-terminals")
@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 3, 1), ("y\n", 0, 0)])
def test_at_a_terminal_it_asks(answer: str, code: int, left: int) -> None:
    age(done())
    with terminal("runs", "prune", "--older-than", "30") as at:
        at.wait_for("Prune them? [y/N] ")
        at.type(answer)
        ended_with, seen = at.end()
    assert (ended_with, len(kept())) == (code, left)
    assert ("CommandError: Declined: nothing was pruned." in seen) == bool(left)


# Killed, blocked, without rights, two at once


def test_killed_in_the_middle_it_is_started_again() -> None:
    old = [age(done()), age(done(), FEBRUARY)]
    with other_connection() as other, other.cursor() as cursor:
        other.autocommit = False
        # Months are dropped, then runs deleted: the second run's row is not to be had.
        cursor.execute("SELECT id FROM ops_run WHERE id = %s FOR KEY SHARE", [old[1].pk])
        process = manage("runs", "prune", "--older-than", "30", "--no-input")
        wait_for("it is blocked", lambda: _blocked("ops_run"))
        process.kill()
        ended(process)
        other.rollback()
    wait_for("its connection is gone", lambda: not _blocked("ops_run"))
    assert kept() == {run.pk for run in old}
    assert prune("--no-input").out.endswith("2 runs pruned.\n")
    assert kept() == set()
    assert not Changeset.objects.exists()
    assert {name for name in partitions() if "2025" in name} == set()


def _blocked(table: str) -> bool:
    """Tell whether another session waits in a statement on a table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, %s) > 0", [table]
        )
        return cursor.fetchone() is not None


def test_a_role_that_may_not_drop_is_told_so_and_nothing_is_pruned() -> None:
    run = age(done())
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE setwise_poor LOGIN PASSWORD 'poor'")
        cursor.execute("GRANT USAGE ON SCHEMA public TO setwise_poor")
        cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO setwise_poor")
    try:
        words = ("runs", "prune", "--older-than", "30", "--no-input")
        code, _, err = ended(manage(*words, DB_USER="setwise_poor", DB_PASS="poor"))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP OWNED BY setwise_poor")
            cursor.execute("DROP ROLE setwise_poor")
    assert code == 1
    assert err == (
        "CommandError: Pruning runs: permission denied for function ops_drop_month; the database role lacks a "
        "privilege: grant it what docs/install.md lists, or use the job's own role.\n"
    )
    assert kept() == {run.pk}
    assert Changeset.objects.count() == 4


def test_the_functions_refuse_what_would_lose_changesets() -> None:
    run = age(stopped())
    with pytest.raises(Exception, match="ops_drop_month: a run of the month"), connection.cursor() as cursor:
        cursor.execute("SELECT ops_drop_month(%s)", [JANUARY])
    with pytest.raises(Exception, match="ops_drop_month: runs of the month"), connection.cursor() as cursor:
        cursor.execute("SELECT ops_drop_month(date_trunc('month', now())::date)")
    with pytest.raises(Exception, match="is no first day of a month"), connection.cursor() as cursor:
        cursor.execute("SELECT ops_open_month('2025-01-02')")
    assert Changeset.objects.filter(run=run).count() == 1


def test_two_runs_that_open_in_a_new_month_make_its_partition_and_do_not_collide() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY_MM')")
        part = f"ops_changeset_{cursor.fetchone()[0]}"
        cursor.execute(f"DROP TABLE IF EXISTS {part}")
    assert part not in partitions()
    with other_connection() as other, other.cursor() as cursor:
        # Whoever attaches a partition waits for this, and the second for the first.
        other.autocommit = False
        cursor.execute("LOCK TABLE ops_changeset IN SHARE UPDATE EXCLUSIVE MODE")
        both = [
            manage("run_job", name, "--no-input", "--lock-timeout", "30000")
            for name in ("shelf.increment", "shelf.normalise")
        ]
        wait_for("both open the month", lambda: _waiting() == 2)
        other.rollback()
    assert [(code, err) for code, _, err in map(ended, both)] == [(0, ""), (0, "")]
    assert part in partitions()
    assert set(Run.objects.values_list("state", flat=True)) == {"done"}


def _waiting() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])
