"""Cached answers: read while others write (is any of them stale?), a stampede, and what an answer takes.

A writer adds 1 to a row and, once that is committed, to a counter that all processes share. A reader takes the counter,
asks for the sum over the rows, and has a stale answer if that is less: what was committed before it asked is missing.
"""

import multiprocessing
import statistics
import threading
import time
from typing import Any

from django.db import connection, connections

from ops.cache import cached, triggers
from ops.management import display

ROWS = 64
FORK = multiprocessing.get_context("fork")


@cached("bench.total", tables=["bench_written"], ttl=600)
def total() -> int:
    """Return the sum over the rows, after counting by a sequence that it was computed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('bench_computed')")
        cursor.execute("SELECT sum(v) FROM bench_written")
        return int(cursor.fetchone()[0])


@cached("bench.slow", tables=["bench_written"], ttl=600)
def slow() -> int:
    """Return the same after half a second, as what everybody asks for at once would."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.5)")
    return total.function()


def make() -> None:
    """Make the table and its versions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DROP TABLE IF EXISTS bench_written; CREATE TABLE bench_written (id int PRIMARY KEY, v bigint) "
            "WITH (fillfactor = 50); CREATE SEQUENCE IF NOT EXISTS bench_computed"
        )
        cursor.execute("INSERT INTO bench_written SELECT i, 0 FROM generate_series(1, %s) AS i", [ROWS])
    triggers.install("default")


def _write(number: int, committed: Any, ended: Any) -> None:
    with connection.cursor() as cursor:
        while not ended.is_set():
            cursor.execute("UPDATE bench_written SET v = v + 1 WHERE id = %s", [1 + number])
            with committed.get_lock():
                committed.value += 1
            time.sleep(0.005)


def _read(answers: int, committed: Any, told: Any) -> None:
    stale = hits = 0
    for _ in range(answers):
        floor = committed.value
        answer = total.answer()
        stale += answer.value < floor
        hits += answer.hit
    told.put((stale, hits))


def while_written(answers: int, readers: int = 4, writers: int = 4) -> dict[str, int]:
    """Return how many of so many answers were stale and how many came from the cache, and the writes meanwhile."""
    committed, ended, told = FORK.Value("q", 0), FORK.Event(), FORK.Queue()
    connections.close_all()
    working = [FORK.Process(target=_write, args=(n, committed, ended)) for n in range(writers)]
    asking = [FORK.Process(target=_read, args=(answers // readers, committed, told)) for _ in range(readers)]
    for process in (*working, *asking):
        process.start()
    found = [told.get(timeout=1_200) for _ in asking]
    ended.set()
    for process in (*working, *asking):
        process.join()
    return {
        "answers": answers // readers * readers,
        "stale": sum(stale for stale, _ in found),
        "hits": sum(hits for _, hits in found),
        "writes": committed.value,
    }


def computed() -> int:
    """Return how often the sum was computed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM bench_computed")
        return int(cursor.fetchone()[0])


def stampede(callers: int) -> tuple[int, float]:
    """Let so many ask at once; return how often it was computed, and the seconds until all had it."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bench_written SET v = v + 1 WHERE id = 1")
    before = computed()
    together = threading.Barrier(callers + 1)

    def call() -> None:
        connection.ensure_connection()
        together.wait()
        slow()
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    together.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return computed() - before, time.perf_counter() - start


def latency(times: int) -> tuple[float, float]:
    """Return the median and the 95th percentile of a cached answer, in milliseconds."""
    total()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        total()
        taken.append(time.perf_counter() - start)
    taken.sort()
    return statistics.median(taken) * 1_000, taken[times * 95 // 100] * 1_000


def measure(answers: int) -> str:
    """Measure, and return the table."""
    make()
    median, late = latency(5_000)
    written = while_written(answers)
    times, seconds = stampede(50)
    return display.table(
        "A cached answer",
        ("what", "figure"),
        [
            ("a cached answer, ms (median, 95 %)", f"{median:.2f}, {late:.2f}"),
            ("stale answers, while others write", f"{written['stale']:,} of {written['answers']:,}"),
            ("of them from the cache; writes meanwhile", f"{written['hits']:,}; {written['writes']:,}"),
            ("50 callers at once: computed", f"{times} x"),
            ("seconds until all 50 had it (computing takes 0.5)", f"{seconds:.2f}"),
        ],
        ("figure",),
    )
