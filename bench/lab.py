"""The laboratory: one filled database, a fresh copy of it for each contender, and a stop-watch."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections

from billing import demo
from ops import clock

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
COPY = "bench_copy"
READ = {"billing_subscription": "sum(price), count(comment)"}
"""Tables that are read whole before a contender starts, and what of them."""

CHANGESETS = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('ops_changeset') WHERE isleaf"


@dataclass
class Measured:
    """What one contender took: seconds for the rows it wrote, its peak memory, and seconds for all rows that change."""

    name: str
    rows: int
    seconds: float
    megabytes: float | None = None
    extrapolated: float | None = None
    note: str = ""

    @property
    def whole(self) -> float:
        """Return the seconds for all rows, extrapolated where only some were written."""
        return self.extrapolated if self.extrapolated is not None else self.seconds


def fill(sizes: demo.Sizes, fillfactor: int) -> None:
    """Make the base database anew: filled, vacuumed, and half of the services' prices raised since."""
    call_command("migrate", verbosity=0, interactive=False)
    call_command("flush", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_catalogue (id, policy, reduction_order, zone, marked_until) VALUES "
            "(1, 'best_of', '{promotion,plan,tier}', 'Asia/Seoul', now()) ON CONFLICT DO NOTHING"
        )
        cursor.execute(f"ALTER TABLE billing_subscription SET (fillfactor = {fillfactor})")
        made = demo.make(sizes, clock.now())
        cursor.execute("DELETE FROM billing_mark")
        # What a table looks like that has been in use: every page as full as its fillfactor says, no dead rows.
        cursor.execute("VACUUM (FULL, ANALYZE) billing_subscription")
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("UPDATE billing_service SET full_price = full_price * 1.07 WHERE id %% 2 = 0", [])
    print(f"Filled: {made['subscriptions']:,} subscriptions, fillfactor {fillfactor}.", flush=True)


def copy() -> dict[str, str]:
    """Make a fresh copy of the base database; return the environment under which a process works on it."""
    base = connection.settings_dict
    connections.close_all()
    psql("postgres", f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")
    psql("postgres", f'CREATE DATABASE {COPY} TEMPLATE "{base["NAME"]}" STRATEGY file_copy')
    psql("postgres", "CHECKPOINT")
    # Read everything once, so that nobody pays for a cold cache.
    for table, columns in READ.items():
        psql(COPY, f"SELECT count(*), {columns} FROM {table}")
        psql(COPY, f"SELECT count(*) FROM (SELECT id FROM {table} ORDER BY id OFFSET 0) AS q")
    return {
        **os.environ,
        "DATABASE_URL": "",
        "DB_HOST": str(base["HOST"]),
        "DB_PORT": str(base["PORT"] or ""),
        "DB_NAME": COPY,
        "DB_USER": str(base["USER"]),
        "DB_PASS": str(base["PASSWORD"] or ""),
    }


def psql(database: str, *commands: str, file: Path | None = None) -> float:
    """Run commands or a file in psql; return the seconds that the whole program took."""
    base = connections["default"].settings_dict
    program = str(settings.EMBEDDED.psql) if settings.EMBEDDED else "psql"
    words = [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(base["HOST"]), "-U", str(base["USER"])]
    words += ["-d", database, "-o", "/dev/null"]
    for command in commands:
        words += ["-c", command]
    if file:
        words += ["-f", str(file)]
    start = time.perf_counter()
    subprocess.run(words, check=True, env={**os.environ, "PGPASSWORD": str(base["PASSWORD"] or "")})
    return time.perf_counter() - start


def python(words: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Run a Python program; return seconds, peak megabytes of that process alone, and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], env=environment, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise RuntimeError(f"{' '.join(words)} failed: {out}")
    return seconds, usage.ru_maxrss / 1024, out


def contender(name: str, environment: dict[str, str], *words: str) -> Any:
    """Run one contender in a process of its own; return what it reports."""
    return json.loads(python(["-m", "bench.contenders", name, *words], environment)[2].splitlines()[-1])


def differing(environment: dict[str, str]) -> int:
    """Return how many subscriptions of the copy still differ from what they ought to be: the proof of a contender."""
    out = python(["manage.py", "reprice", "--dry-run", "--json"], environment)[2]
    return int(json.loads(out)["changes"])


def scalar(statement: str) -> int:
    """Return the one value of a query on the copy."""
    settings = connections["default"].get_connection_params()
    with (
        psycopg2.connect(
            host=settings.get("host"), user=settings.get("user"), password=settings.get("password"), dbname=COPY
        ) as opened,
        opened.cursor() as cursor,
    ):
        cursor.execute(statement)
        return int(cursor.fetchone()[0])
