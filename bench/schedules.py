"""Scheduled runs against plain Celery tasks: `python -m bench.schedules [--messages N] [--workers N]`.

The same stack for each contender: embedded PostgreSQL 18 (fsync on) and Redis, one worker of so many processes, results
by django-celery-results. A message starts one slot of one of 500 schedules, each due every second; its run looks at one
row, and changes it or not. What is measured is from the first message sent to the last result stored, with the queue
full (throughput), and from sending to the end of one at a time (latency).
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import django

os.environ.setdefault("SETWISE_EMBEDDED", "bench")
os.environ["DJANGO_SETTINGS_MODULE"] = "bench.schedule_settings"
django.setup()

from celery import current_app  # noqa: E402 - Django first
from django.conf import settings  # noqa: E402 - Django first
from django.core.management import call_command  # noqa: E402 - Django first
from django.db import connection  # noqa: E402 - Django first
from django_celery_beat.models import PeriodicTask  # noqa: E402 - Django first
from django_celery_results.models import TaskResult  # noqa: E402 - Django first

from bench.counters.tasks import plain  # noqa: E402 - Django first
from ops.clock.schedules import Schedule  # noqa: E402 - Django first
from ops.management import display  # noqa: E402 - Django first
from ops.tasks import start_slot  # noqa: E402 - Django first

SCHEDULES = 500
SECOND = timedelta(seconds=1)
DECLARED = tuple(
    Schedule(f"tick {n}", job="counters.tick", params={"n": n}, every=SECOND, queue="fast")
    for n in range(1, SCHEDULES + 1)
)


def fill(*, differ: bool) -> None:
    """Make the counters anew: all as they ought to be, or all to be changed."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ops_run, ops_schedule, ops_missedslots, ops_changeset CASCADE")
        cursor.execute("TRUNCATE django_celery_results_taskresult")
        cursor.execute("DROP TABLE IF EXISTS bench_counter")
        cursor.execute(
            "CREATE TABLE bench_counter (id bigint PRIMARY KEY, v bigint NOT NULL, base bigint NOT NULL, "
            "note text NOT NULL)"
        )
        # With a base that grows each time it is written, each run has one row to change.
        cursor.execute(
            "INSERT INTO bench_counter SELECT i, 1, 0, 'counter ' || i FROM generate_series(1, %s) AS i", [SCHEDULES]
        )
        if differ:
            cursor.execute(
                "CREATE OR REPLACE FUNCTION bench_move() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN NEW.base := NEW.base + 1; RETURN NEW; END$$; "
                "CREATE TRIGGER bench_move BEFORE UPDATE ON bench_counter FOR EACH ROW EXECUTE FUNCTION bench_move()"
            )
            cursor.execute("UPDATE bench_counter SET note = note")
        cursor.execute("ANALYZE bench_counter")
    if PeriodicTask.objects.filter(task="ops.start_slot").count() < SCHEDULES:
        call_command("sync_schedules", no_input=True, stdout=io.StringIO())


@contextmanager
def worker(processes: int) -> Iterator[None]:
    """Run a worker as the Procfile does."""
    words = [
        "-A",
        "config",
        "worker",
        "--queues",
        "fast",
        "--concurrency",
        str(processes),
        "--loglevel",
        "WARNING",
    ]
    started = subprocess.Popen([sys.executable, "-m", "celery", *words])
    try:
        while not current_app.control.inspect(timeout=1).ping():
            assert started.poll() is None, "the worker has ended"
        yield
    finally:
        started.terminate()
        started.wait()


def send_plain(n: int) -> Any:
    return plain.apply_async(kwargs={"n": n}, queue="fast")


def send_slot(n: int) -> Any:
    return start_slot.apply_async(kwargs={"schedule": f"tick {n}"}, queue="fast")


CONTENDERS: dict[str, tuple[str, Callable[[int], Any], bool]] = {
    "plain": ("a plain Celery task, one UPDATE, results in the database", send_plain, True),
    "nothing": ("a scheduled run that finds nothing to change", send_slot, False),
    "change": ("a scheduled run that changes one row, with its changeset", send_slot, True),
}


def stored() -> int:
    return TaskResult.objects.filter(status__in=["SUCCESS", "FAILURE"]).count()


def throughput(send: Callable[[int], Any], messages: int) -> float:
    """Return the seconds that so many messages take, in rounds of one to each schedule, each slot being a new one."""
    seconds, done = 0.0, stored()
    for _ in range(messages // SCHEDULES):
        time.sleep(1.05)  # a slot that is due for each
        start = time.perf_counter()
        for n in range(1, SCHEDULES + 1):
            send(n)
        done += SCHEDULES
        while stored() < done:
            time.sleep(0.01)
        seconds += time.perf_counter() - start
    return seconds


def latency(send: Callable[[int], Any], tries: int) -> list[float]:
    """Return the seconds from sending to the stored result, one message at a time."""
    found = []
    for n in range(1, tries + 1):
        done = stored()
        start = time.perf_counter()
        send(n)
        while stored() == done:
            time.sleep(0.0005)
        found.append(time.perf_counter() - start)
    return sorted(found)


def runs() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ops_run WHERE state = 'done' AND slot IS NOT NULL")
        return int(cursor.fetchone()[0])


def contend(name: str, messages: int, processes: int) -> dict[str, float]:
    """Measure one contender; hold what it has done against what was sent."""
    _, send, differ = CONTENDERS[name]
    fill(differ=differ)
    current_app.control.purge()
    with worker(processes):
        if name != "plain":
            throughput(send, SCHEDULES)  # a schedule's first look only begins to count its slots
        before = runs()
        seconds = throughput(send, messages)
        alone = latency(send, 100)
    failed = TaskResult.objects.filter(status="FAILURE").count()
    assert failed == 0, f"{name}: {failed} tasks failed"
    if name != "plain":
        made = runs() - before
        assert made >= messages, f"{name}: {messages} messages made {made} runs"
    return {"seconds": seconds, "median": statistics.median(alone) * 1_000, "p95": alone[94] * 1_000}


def main() -> None:
    """Run the contenders one after another and print them as ratios to the plain task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2, help="processes of the worker")
    options = parser.parse_args()
    if settings.EMBEDDED is not None:
        settings.EMBEDDED.ensure()
    call_command("migrate", verbosity=0, interactive=False)
    told = {name: contend(name, options.messages, options.workers) for name in CONTENDERS}
    plainly = told["plain"]["seconds"]
    cells = [
        (
            title,
            f"{options.messages / told[name]['seconds']:,.0f}",
            f"{told[name]['seconds'] / options.messages * 1_000:.2f}",
            f"{told[name]['seconds'] / plainly:.2f}",
            f"{told[name]['median']:.1f}",
            f"{told[name]['p95']:.1f}",
        )
        for name, (title, _, _) in CONTENDERS.items()
    ]
    columns = ("contender", "a second", "ms each", "x plain", "latency ms", "95 %")
    print(display.table(f"{options.messages:,} messages, {options.workers} processes", columns, cells, columns[1:]))


if __name__ == "__main__":
    main()
