"""The engine against the bare statement in batches: `python -m bench.engine [--rows N] [--repeat N] [--large]`.

Every contender adds one to each of a million counters on a fresh copy of one database, in commits of 25,000 rows.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("SETWISE_EMBEDDED", "bench")
os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
django.setup()

from django.core.management import call_command  # noqa: E402 - Django first
from django.db import connection, transaction  # noqa: E402 - Django first
from django.db.models import F  # noqa: E402 - Django first

from bench import lab  # noqa: E402 - Django first
from bench.counters.models import Counter  # noqa: E402 - Django first
from ops.engine import registry  # noqa: E402 - Django first
from ops.engine import run as engine  # noqa: E402 - Django first
from ops.engine.lifecycle import Options  # noqa: E402 - Django first
from ops.management import display  # noqa: E402 - Django first

BATCH = 25_000
lab.READ = {"bench_counter": "sum(v), count(note)"}


def fill(rows: int) -> None:
    """Make the base database anew, with so many counters on pages as full as they get."""
    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ops_run CASCADE")
        cursor.execute("DROP TABLE IF EXISTS bench_counter")
        cursor.execute(
            "CREATE TABLE bench_counter (id bigint PRIMARY KEY, v bigint NOT NULL, base bigint NOT NULL, "
            "note text NOT NULL)"
        )
        cursor.execute(
            "INSERT INTO bench_counter SELECT i, 0, 0, 'counter ' || i FROM generate_series(1, %s) AS i", [rows]
        )
        cursor.execute("VACUUM (FULL, ANALYZE) bench_counter")


def bare() -> dict[str, Any]:
    """Execute the bare statement by ranges of keys, a commit each: what a careful script does, and keeps nothing."""
    start = time.perf_counter()
    after, done = 0, 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT max(id) FROM (SELECT id FROM bench_counter WHERE id > %s ORDER BY id LIMIT %s) AS q",
                [after, BATCH],
            )
            (upto,) = cursor.fetchone()
            if upto is None:
                break
            with transaction.atomic():
                cursor.execute("UPDATE bench_counter SET v = v + 1 WHERE id > %s AND id <= %s", [after, upto])
                done += cursor.rowcount
            after = upto
    return {"rows": done, "seconds": time.perf_counter() - start}


def orm() -> dict[str, Any]:
    """Do the same by Django's queries: `filter(pk__in=..).update(v=F("v") + 1)`."""
    start = time.perf_counter()
    after, done = 0, 0
    while keys := list(Counter.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        done += Counter.objects.filter(pk__in=keys).update(v=F("v") + 1)
        after = keys[-1]
    return {"rows": done, "seconds": time.perf_counter() - start}


def _job(name: str, **options: Any) -> dict[str, Any]:
    start = time.perf_counter()
    first: list[float] = []

    def progress(done: int, total: int) -> None:
        if done and not first:
            first.append(time.perf_counter() - start)

    done, _ = engine.apply(registry.find(name), {}, Options(progress=progress, **options))
    return {"rows": done.changed, "batches": done.batches, "seconds": time.perf_counter() - start, "first": first[0]}


def unkept() -> dict[str, Any]:
    return _job("counters.unkept", batch_size=BATCH)


def kept() -> dict[str, Any]:
    return _job("counters.kept", batch_size=BATCH)


def kept_by_returning() -> dict[str, Any]:
    return _job("counters.kept_by_returning", batch_size=BATCH)


def joined() -> dict[str, Any]:
    return _job("counters.joined", batch_size=BATCH)


def wanted() -> dict[str, Any]:
    return _job("counters.wanted", batch_size=BATCH)


def paced() -> dict[str, Any]:
    return _job("counters.wanted")


def two_workers() -> dict[str, Any]:
    return _job("counters.wanted", workers=2)


def two_sessions() -> dict[str, Any]:
    """The bare statement in two sessions at once, half of the keys each: what the machine gives to two workers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM bench_counter")
        (last,) = cursor.fetchone()
    start = time.perf_counter()
    halves = [(0, last // 2), (last // 2, last)]
    sessions = [
        subprocess.Popen([sys.executable, "-m", "bench.engine", "--only", f"half:{a}:{b}"], stdout=subprocess.PIPE)
        for a, b in halves
    ]
    told = [json.loads(session.communicate()[0].splitlines()[-1]) for session in sessions]
    return {"rows": last, "seconds": max(one["seconds"] for one in told), "whole": time.perf_counter() - start}


def half(after: int, last: int) -> dict[str, Any]:
    start = time.perf_counter()
    with connection.cursor() as cursor:
        while after < last:
            upto = min(after + BATCH, last)
            cursor.execute("UPDATE bench_counter SET v = v + 1 WHERE id > %s AND id <= %s", [after, upto])
            after = upto
    return {"seconds": time.perf_counter() - start}


CONTENDERS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "bare": (bare, "the bare UPDATE in batches, committed (the limit)"),
    "unkept": (unkept, "Setwise, own statement, no changesets"),
    "kept": (kept, "Setwise, own statement, changesets"),
    "kept_by_returning": (kept_by_returning, ".. the same, RETURNING old (PostgreSQL 18)"),
    "joined": (joined, ".. the same for any key, joining the batch's keys"),
    "wanted": (wanted, "Setwise, a SELECT of what ought to be, changesets"),
    "paced": (paced, ".. the same, batches by target time"),
    "two_workers": (two_workers, ".. the same, two workers"),
    "two_sessions": (two_sessions, "the bare UPDATE in two sessions, half each"),
    "orm": (orm, "Django: filter(pk__in=..).update(F)"),
}


def contend(name: str) -> dict[str, Any]:
    """Run one contender on a fresh copy, in a process of its own; hold the table against what it ought to be."""
    environment = lab.copy()
    told: dict[str, Any] = json.loads(
        lab.python(["-m", "bench.engine", "--only", name], environment)[2].splitlines()[-1]
    )
    wrong = lab.scalar("SELECT count(*) FROM bench_counter WHERE v <> 1")
    assert wrong == 0, f"{name} leaves {wrong} counters wrong"
    if name in ("kept", "kept_by_returning", "joined", "wanted"):
        told["bytes"] = float(lab.scalar(lab.CHANGESETS)) / told["rows"]
    return told


def report(rows: int, repeat: int) -> None:
    """Run the contenders, interleaved, and print the medians as ratios to the bare statement."""
    fill(rows)
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for _ in range(repeat):
        for name in CONTENDERS:
            taken[name].append(contend(name))
    median = {name: sorted(runs, key=lambda one: one["seconds"])[repeat // 2] for name, runs in taken.items()}
    limit = median["bare"]["seconds"]
    cells = [
        (title, f"{median[name]['seconds']:.2f}", f"{median[name]['seconds'] / limit:.2f}")
        for name, (_, title) in CONTENDERS.items()
    ]
    columns = ("contender", "seconds", "x bare")
    print(display.table(f"v = v + 1 on {rows:,} rows, commits of {BATCH:,}", columns, cells, columns[1:]))
    if "kept" in median:
        print(f"Changesets: {median['kept']['bytes']:.1f} bytes a row on disk.")
    if {"paced", "two_workers"} <= set(median):
        print(f"Two workers: {median['paced']['seconds'] / median['two_workers']['seconds']:.2f} x one.")
    if "two_sessions" in median:
        print(f"Two bare sessions: {limit / median['two_sessions']['seconds']:.2f} x one.", flush=True)


def growth(sizes: list[int]) -> None:
    """Print how cost, memory and the time to the first progress grow with the table."""
    cells = []
    for rows in sizes:
        fill(rows)
        runs = [contend("paced") for _ in range(3 if rows < 10_000_000 else 1)]
        one = sorted(runs, key=lambda one: one["seconds"])[len(runs) // 2]
        cells.append(
            (
                f"{rows:,}",
                f"{one['seconds']:.2f}",
                f"{one['seconds'] / rows * 1e6:.2f}",
                f"{one['first']:.2f}",
                f"{one['megabytes']:.0f}",
            )
        )
    columns = ("rows", "seconds", "us a row", "first progress, s", "MB")
    print(display.table("Growth, one worker, batches by target time", columns, cells, columns))


def main() -> None:
    """Fill, run, print; or run one contender and print what it took as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="also the growth to ten million rows")
    parser.add_argument("--among", help="only these contenders, by commas; the first is the limit")
    parser.add_argument("--only", help="one contender, on the database of the environment")
    given = parser.parse_args()
    if given.only:
        connection.ensure_connection()
        name, *bounds = given.only.split(":")
        told = half(int(bounds[0]), int(bounds[1])) if bounds else CONTENDERS[name][0]()
        told["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(told))
        return
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, Django {django.__version__}")
    if given.among:
        for name in set(CONTENDERS) - {"bare", *given.among.split(",")}:
            del CONTENDERS[name]
    report(given.rows, given.repeat)
    if given.large:
        growth([100_000, 1_000_000, 10_000_000])
    print(f"Load at the end: {statistics.fmean(os.getloadavg()[:1]):.1f}")


if __name__ == "__main__":
    main()
