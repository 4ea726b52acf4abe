"""`manage.py reprice` as a process: others beside it, signals, poor roles, and servers that are not there."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from billing.models import Subscription
from ops.models import Run
from tests.ops.shop import (
    changed_rows,
    command,
    ended,
    environment,
    make_shop,
    manage,
    other_connection,
    prices,
    raise_prices,
    untouched,
    wait_until,
)

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def locked(*rows: int) -> Iterator[int]:
    """Hold a lock on rows, and give the process that holds it."""
    with other_connection() as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("SELECT id FROM billing_subscription WHERE id = ANY(%s) FOR UPDATE", [list(rows)])
            yield other.info.backend_pid
        other.rollback()


def test_a_second_run_is_refused_and_told_who_holds_the_first() -> None:
    make_shop()
    raise_prices()
    with locked(Subscription.objects.order_by("pk")[200].pk):
        first = manage("reprice", "--no-input", "--lock-timeout", "30000")
        # From then on it looks for an operator's wish only when its batch, which is blocked, is written.
        wait_until("the first run has a window", state="running", windows__isnull=False)
        run = Run.objects.get()
        said = command("reprice", "--no-input")
    assert (said.code, said.out) == (3, "")
    assert said.error.startswith(f"Run {run.pk} of billing.reprice is being carried out by {run.started_by} (process ")
    assert said.error.endswith(f"): wait for its end, or stop it with 'manage.py runs pause {run.pk}'.")
    assert f"process {first.pid} on " in said.error
    code, _, err = ended(first)
    assert (code, err) == (0, "")
    assert list(Run.objects.values_list("state", "changed")) == [("done", 400)]


def test_a_run_is_cancelled_from_elsewhere_and_ends_after_its_batch() -> None:
    make_shop()
    raise_prices()
    with locked(*prices()):
        first = manage("reprice", "--no-input", "--lock-timeout", "30000", "--batch-size", "300")
        wait_until("the run has a window", state="running", windows__isnull=False)
        run = Run.objects.get()
        cancelled = command("runs", "cancel", str(run.pk))
        assert (run.state, Run.objects.get().wish) == ("running", "cancel")
    assert (cancelled.code, cancelled.out) == (
        0,
        f"Run {run.pk}: told to end; it does so after its batch, and what it wrote stays.\n",
    )
    code, _, err = ended(first)
    said = f"Run {run.pk} was cancelled: what it wrote stays, and can be reverted."
    assert (code, err) == (3, f"CommandError: {said}\n")
    run = Run.objects.get()
    assert (run.state, run.message, run.batches) == ("cancelled", said, 1)
    assert 0 < run.changed < 400
    assert len(changed_rows(run)) == run.changed


def test_a_blocked_run_stops_with_4_says_who_blocks_and_is_resumed_by_the_same_command() -> None:
    make_shop()
    raise_prices()
    row = Subscription.objects.order_by("pk")[200].pk
    with locked(row) as blocker:
        said = command("reprice", "--no-input", "--lock-timeout", "50", "--batch-size", "100")
    stopped = Run.objects.get()
    assert (said.code, stopped.state, stopped.message) == (4, "stopped", said.error)
    assert f"Row {row} is locked against billing.reprice by process {blocker} " in said.error
    assert f"'manage.py runs resume {stopped.pk}' carries it on." in said.error
    assert "Attempt 1 of " in said.err
    other = command("reprice", "--no-input", "--service", "service 4")
    assert other.code == 3
    assert "is unfinished and excludes this one" in other.error
    again = command("reprice", "--no-input", "--batch-size", "100")
    assert (again.code, again.err.startswith(f"Carrying on run {stopped.pk}, opened ")) == (0, True)
    assert again.out.endswith(f"Run {stopped.pk}: 400 rows written in {Run.objects.get().batches} batches.\n")
    assert len({key for key, _, _ in changed_rows(Run.objects.get())}) == 400


def test_ctrl_c_stops_after_the_batch_and_runs_resume_carries_on() -> None:
    make_shop(2_000)
    raise_prices()
    with locked(Subscription.objects.order_by("pk")[1_000].pk):
        process = manage("reprice", "--no-input", "--lock-timeout", "30000", "--batch-size", "20")
        wait_until("some rows are written", changed__gt=0)
        process.send_signal(signal.SIGINT)
        # The signal is seen once the lock is free.
        time.sleep(0.2)
    code, _, err = ended(process)
    stopped = Run.objects.get()
    assert code == 4
    assert "Stopping after this batch; once more leaves at once (nothing is lost either way)." in err
    assert f"Run {stopped.pk} stopped after {stopped.changed:,} rows, as asked" in err
    assert (stopped.state, 0 < stopped.changed < 2_000) == ("stopped", True)
    refused = command("runs", "resume", str(stopped.pk))
    assert (refused.code, refused.error) == (2, "There is no terminal to ask at: add --no-input to write.")
    resumed = command("runs", "resume", str(stopped.pk), "--no-input")
    done = Run.objects.get()
    assert (resumed.code, done.state, done.changed) == (0, "done", 2_000)
    # It goes on in batches of the size that it began with.
    assert done.batches > 20
    assert resumed.out.endswith(f"Run {done.pk}: 2,000 rows written in {done.batches} batches.\n")
    assert command("reprice", "--check").code == 0


def test_whoever_was_killed_at_the_question_has_not_said_yes() -> None:
    make_shop()
    raise_prices()
    before = prices()
    # As a run is left by a terminal that was closed: opened, planned, nothing written, its owner gone.
    with locked(Subscription.objects.order_by("pk")[200].pk):
        process = manage("reprice", "--no-input", "--lock-timeout", "30000", "--atomic")
        wait_until("its plan is there", plan__isnull=False)
        process.kill()
        ended(process)
    run = Run.objects.get()
    assert (run.state, run.cursor) == ("running", None)
    said = command("reprice", "--no-input", "--atomic", "--max-rows", "10")
    assert (said.code, Run.objects.get().state) == (3, "refused")
    assert "400 subscriptions would change, more than --max-rows 10" in said.error
    untouched(before)


@pytest.fixture
def reader() -> Iterator[str]:
    """A role that may read everything and write nothing."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE setwise_reader LOGIN PASSWORD 'reader'")
        cursor.execute("GRANT USAGE ON SCHEMA public TO setwise_reader")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO setwise_reader")
    yield "setwise_reader"
    with connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY setwise_reader")
        cursor.execute("DROP ROLE setwise_reader")


@pytest.mark.parametrize("words", [("reprice", "--no-input"), ("reprice", "--dry-run")])
def test_a_role_that_may_not_write_is_told_in_one_sentence(reader: str, words: tuple[str, ...]) -> None:
    make_shop()
    raise_prices()
    before = prices()
    code, out, err = ended(manage(*words, DB_USER=reader, DB_PASS="reader"))
    what = "Planning" if "--dry-run" in words else "Applying"
    assert (code, out) == (1, "")
    assert err == (
        f"CommandError: {what} billing.reprice: permission denied for table ops_run; the database role lacks a "
        "privilege: grant it what docs/install.md lists, or use the job's own role.\n"
    )
    assert not Run.objects.exists()
    untouched(before)


def test_a_role_that_may_read_can_look_at_runs(reader: str) -> None:
    make_shop()
    raise_prices()
    command("reprice", "--no-input")
    code, out, err = ended(manage("runs", "list", DB_USER=reader, DB_PASS="reader"))
    assert (code, err) == (0, "")
    assert "billing.reprice" in out
    assert environment()["DB_USER"] != reader


@pytest.fixture
def empty_database() -> Iterator[str]:
    """A database in which nothing was migrated."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE setwise_empty")
    yield "setwise_empty"
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE setwise_empty")


HISTORY = "Reading the history of billing.Subscription 1"


@pytest.mark.parametrize(
    ("words", "what", "missing"),
    [
        (("reprice", "--no-input"), "Applying billing.reprice", 'relation "ops_run"'),
        (("reprice", "--dry-run"), "Planning billing.reprice", 'relation "ops_run"'),
        (("reprice", "--dry-run", "--service", "x"), "The command", 'relation "billing_service"'),
        (("runs", "list"), "The command", 'relation "ops_run"'),
        (("runs", "history", "billing.Subscription", "1"), HISTORY, 'relation "ops_run"'),
    ],
)
def test_a_database_without_migrations_is_one_sentence(
    empty_database: str, words: tuple[str, ...], what: str, missing: str
) -> None:
    code, out, err = ended(manage(*words, DB_NAME=empty_database))
    assert (code, out) == (1, "")
    assert err == (
        f"CommandError: {what}: {missing} does not exist; a table is missing: run 'manage.py migrate' first.\n"
    )


@pytest.mark.parametrize(
    ("words", "what"), [(("reprice", "--no-input"), "Applying billing.reprice"), (("runs", "show", "1"), "The command")]
)
def test_a_server_that_is_not_there_is_one_sentence(words: tuple[str, ...], what: str) -> None:
    code, out, err = ended(manage(*words, DB_HOST="127.0.0.1", DB_PORT="1"))
    assert (code, out) == (1, "")
    assert err == (
        f'CommandError: {what}: connection to server at "127.0.0.1", port 1 failed: Connection refused; see that the '
        "server runs and that DATABASES (DATABASE_URL) names it, then start the same command again: a run that had "
        "begun goes on.\n"
    )
