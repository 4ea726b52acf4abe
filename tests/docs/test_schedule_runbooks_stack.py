"""The runbooks of workers and broker, run in their order on a Redis that can be killed and workers that are.

A line `$ manage.py ..` is run in this process, whose broker is the stack's; `$ celery ..` and `$ redis-cli ..` are
processes of their own. One stack serves all pages: to start a worker takes seconds.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection

from config import celery_app
from config import schedules as declared
from config.embedded.servers import redis_binary
from ops import sql, tasks
from ops.doctor import asking
from ops.engine import run as engine
from ops.engine import sweeping
from ops.engine.lifecycle import Stopped
from ops.models import Run
from tests.docs.test_loading_page import PIECE, commands, run_line, words
from tests.docs.test_schedule_runbooks import NIGHTLY, Given, nothing_is_overlooked, run_page, text_of
from tests.ops.counters import lose_owner, opened
from tests.ops.shop import EVERYTHING, ROOT, command, job, make_shop, raise_prices, small
from tests.ops.stack import Stack, stack, until

PAGES = ("queue-grows.md", "worker-killed.md", "broker-down.md", "deploy.md")
COMMAND = re.compile(r"^\$ (celery|redis-cli) (.+)$")
PRICES = "billing/price_subscriptions.sql"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack"), STACK_SCHEDULES="config.schedules.SCHEDULES") as found:
        yield found


@contextmanager
def slow(seconds: float) -> Iterator[None]:
    """Make each batch of a reprice take so long."""
    with connection.cursor() as cursor:
        body = f"BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END"
        cursor.execute(f"CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
        cursor.execute(
            "CREATE TRIGGER hold_up BEFORE UPDATE ON billing_subscription FOR EACH STATEMENT EXECUTE FUNCTION hold_up()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION hold_up CASCADE")


@dataclass
class World:
    """What goes on outside of the operator's shell."""

    made: Stack
    open: ExitStack = field(default_factory=ExitStack)

    def worker(self, *, name: str = "slow", queues: str = "fast,slow") -> None:
        log = self.made.home / f"{name}.log"
        log.unlink(missing_ok=True)
        self.made.worker(name, queues)

    def no_worker(self) -> None:
        for process in list(self.made.processes):
            self.made.kill(process)

    def enqueued(self, *more: str) -> Run:
        raise_prices()
        assert command("reprice", "--no-input", "--enqueue", "--batch-size", "50", *more).code == 0
        return opened()

    def slowly(self, seconds: float) -> None:
        self.open.enter_context(slow(seconds))

    def at_full_speed(self) -> None:
        self.open.close()

    def at_work(self, seconds: float = 0.5) -> None:
        """Let a worker be in the middle of a run of eight batches."""
        self.slowly(seconds)
        run = self.enqueued()
        if not self.made.processes:
            self.worker()
        writes = Run.objects.filter(pk=run.pk, state="running", windows__batches__gt=0)
        until("it writes", writes.exists)

    def at_work_with_one_behind(self) -> None:
        self.slowly(1)
        self.worker()
        upper = ("backfill", "billing.Client.name", "--value", "upper(name)", "--no-input", "--enqueue")
        assert command(*upper).code == 0
        until("it writes", Run.objects.filter(pk=1, state="running", windows__isnull=False).exists)

    def waits_on_fast(self) -> None:
        self.no_worker()
        self.enqueued("--queue", "fast")

    def later(self) -> None:
        """Let so much time pass that a message counts as lost."""
        for run in Run.objects.filter(state="queued"):
            past = (run.sent_at or run.created_at) - timedelta(seconds=10)
            Run.objects.filter(pk=run.pk).update(sent_at=past)

    def killed(self) -> None:
        self.at_work()
        self.no_worker()
        until("the server has seen it", lambda: sweeping.stale("default"))

    def started_again(self) -> None:
        self.at_full_speed()
        self.worker()

    def killed_five_times(self) -> None:
        self.no_worker()
        run = self.half_done()
        for _ in range(5):
            Run.objects.filter(pk=run.pk).update(state="running")
            lose_owner(run)
            command("sweep")
        self.made.client().delete("setwise:slow")

    def half_done(self) -> Run:
        """Return a run of the workers that was stopped after a batch."""
        raise_prices()
        options = small(queue="slow")
        stopping = small(queue="slow", stop=options.stop, progress=lambda done, total: options.stop.set())
        with pytest.raises(Stopped):
            engine.apply(job(), EVERYTHING, stopping)
        return opened()

    def down(self) -> None:
        raise_prices()
        self.no_worker()
        self.made.kill_broker()

    def up_again(self) -> None:
        self.enqueued()
        self.made.start_broker()
        self.later()

    def evicting(self) -> None:
        self.no_worker()
        self.made.client().config_set("maxmemory-policy", "allkeys-lru")

    def told_to_leave(self) -> None:
        (worker,) = self.made.processes
        os.killpg(worker.pid, signal.SIGTERM)  # children, too, as process managers do
        assert worker.wait(30) == 0
        self.made.processes.remove(worker)

    def other_sql(self) -> ExitStack:
        """Let this process have another text of the job's statement than the workers."""
        open_ = ExitStack()
        text = sql.load(PRICES).text.replace("'it has no plan'", "'it has none'")
        open_.enter_context(sql.using({PRICES: sql.parse(PRICES, text)}))
        return open_

    def waited(self) -> None:
        with self.other_sql():
            self.enqueued()

    def had_begun(self) -> None:
        with self.other_sql():
            run = self.half_done()
        Run.objects.filter(pk=run.pk).update(state="queued")
        tasks.send(run)
        until("a worker has come to it", Run.objects.filter(pk=run.pk, state="stopped").exists)


def given(world: World) -> Given:
    return {
        "no worker takes from slow, and somebody has enqueued a reprice": lambda: (world.no_worker(), world.enqueued()),
        "a worker of slow is there, at the reprice, and another run waits behind it": world.at_work_with_one_behind,
        "nothing is in the way of the long run any more": world.at_full_speed,
        "a run waits on fast, and no worker takes from it": world.waits_on_fast,
        "ten seconds later": world.later,
        "a worker was killed with SIGKILL in the middle of a run, and the sweeper has not looked yet": world.killed,
        "the worker is started again": world.started_again,
        "prices have risen, and the run has lost its worker five times in the same batch": world.killed_five_times,
        "Redis was killed": world.down,
        "prices have risen, a reprice was enqueued meanwhile, and Redis runs again": world.up_again,
        "a worker is there": world.worker,
        "Redis was set up as a cache: it may evict": world.evicting,
        "a long run is at work on slow": lambda: world.at_work(1),
        "the worker was told to leave by TERM, and has left": world.told_to_leave,
        "a worker of the new code is there": world.started_again,
        "run 2 waited in the queue while other SQL was installed": world.waited,
        "run 3 had begun under other SQL than is installed now, and a worker has come to it": world.had_begun,
    }


@pytest.fixture
def world(made: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Let this process send to the stack's broker, without waiting for long where that is away."""
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        monkeypatch.setenv(name, f"redis+socket://{made.socket}?virtual_host=0")
    # In place: Celery keeps the policy that it found when it first sent.
    monkeypatch.setitem(celery_app.conf.task_publish_retry_policy, "max_retries", 1)
    monkeypatch.setattr(declared, "SCHEDULES", (NIGHTLY,))
    celery_app._after_fork()  # forgets the connections to the suite's own broker
    # The mailbox of `inspect` keeps the first producers that it has had.
    monkeypatch.setattr(celery_app.control.mailbox, "producer_pool", celery_app.amqp.producer_pool)
    found = World(made)
    if made.broker is None or made.broker.poll() is not None:
        made.start_broker()  # a page before has failed without it
    made.client().flushall()
    try:
        yield found
    finally:
        found.open.close()
        celery_app._after_fork()


def run_any(world: World, line: str, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one command of a page, whosever it is."""
    match = COMMAND.match(line)
    if match is None:
        with monkeypatch.context() as patched:
            if not world.made.processes:
                patched.setattr(asking, "WAIT", 0.3)  # nobody is there to answer
            run_line(line, said, monkeypatch)
        return
    if match[1] == "celery":
        program = [sys.executable, "-m", "celery"]
    else:
        program = [str(redis_binary().with_name("redis-cli")), "-s", str(world.made.socket)]
    done = subprocess.run(
        [*program, *shlex.split(match[2])], cwd=ROOT, env=world.made.environment(), capture_output=True, text=True
    )
    printed = words(done.stdout + done.stderr)
    assert done.returncode == 0, f"{line}\n{printed}"
    at = 0
    for expected in map(words, said):
        found = printed.find(expected, at)
        assert found >= 0, f"{line}\nsaid to print {expected!r}, printed:\n{printed}"
        at = found + len(expected)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.django_db(transaction=True)
def test_a_runbook_does_what_it_says(page: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("flush", interactive=False, verbosity=0)
    make_shop()
    ran = run_page(page, given(world), lambda line, said: run_any(world, line, said, monkeypatch))
    assert ran == len(commands(text_of(page))) > 8


def test_no_block_and_no_command_is_overlooked(world: World) -> None:
    made = given(world)
    for page in PAGES:
        nothing_is_overlooked(page, made)
    asked = {one["given"] for page in PAGES for one in PIECE.finditer(text_of(page)) if one["given"]}
    assert asked == made.keys()
