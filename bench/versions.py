"""What versions of tables cost those who write: `python -m bench.versions [--clients N] [--seconds N] [--rounds N]`.

Each client updates one row of a hundred thousand in each transaction, by pgbench: of a table without a version, of one
whose trigger rewrites one row, of ours, and of ours whose rows are told apart by a tag. Rounds alternate, so that what
else the machine does is shared; the median of the rounds counts. Then a version is read, over and over.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import django

os.environ.setdefault("SETWISE_EMBEDDED", "bench")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402 - Django first
from django.core.management import call_command  # noqa: E402 - Django first
from django.db import connection  # noqa: E402 - Django first

from ops.cache import triggers, versions  # noqa: E402 - Django first
from ops.management import display  # noqa: E402 - Django first

ROWS = 100_000
CONTENDERS = {
    "bench_plain": "no version (the limit)",
    "bench_one": "one row, rewritten by a trigger",
    "bench_ours": "Setwise: 16 stripes",
    "bench_tagged": "Setwise: 16 stripes and a tag",
}
MAKE = """
DROP TABLE IF EXISTS {table};
CREATE TABLE {table} (id integer PRIMARY KEY, partner_id integer, v integer) WITH (fillfactor = 70);
INSERT INTO {table} SELECT i, i % 200, 0 FROM generate_series(1, {rows}) AS i;
VACUUM ANALYZE {table};
"""
ONE_ROW = """
CREATE TABLE IF NOT EXISTS bench_version (version bigint) WITH (fillfactor = 20);
TRUNCATE bench_version;
INSERT INTO bench_version VALUES (0);
CREATE OR REPLACE FUNCTION bench_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE bench_version SET version = version + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER bench_move AFTER UPDATE ON bench_one FOR EACH STATEMENT EXECUTE FUNCTION bench_move();
"""


def make() -> None:
    """Make the tables anew, with their triggers."""
    call_command("migrate", verbosity=0, interactive=False)
    triggers.declare("bench_ours", by="bench")
    triggers.declare(by="bench", tags={"bench_tagged": "partner_id"})
    with connection.cursor() as cursor:
        for table in CONTENDERS:
            for statement in MAKE.format(table=table, rows=ROWS).split(";\n"):
                if statement.strip():
                    cursor.execute(statement)
        cursor.execute(ONE_ROW)
    triggers.install("default")


def pgbench() -> str:
    """Return the program: that of the embedded server, or the one on the path."""
    beside = settings.EMBEDDED.psql.parent / "pgbench" if settings.EMBEDDED else None
    found = str(beside) if beside and beside.exists() else shutil.which("pgbench")
    assert found, "there is no pgbench: install PostgreSQL's client programs"
    return found


def contend(table: str, clients: int, seconds: int) -> float:
    """Return the transactions a second."""
    base = connection.settings_dict
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(f"\\set id random(1, {ROWS})\nUPDATE {table} SET v = v + 1 WHERE id = :id;\n")
        script.flush()
        words = [pgbench(), "-n", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", script.name]
        words += ["-h", str(base["HOST"]), "-U", str(base["USER"])]
        words += ["-p", str(base["PORT"])] if base["PORT"] else []
        done = subprocess.run(
            [*words, str(base["NAME"])],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PGPASSWORD": str(base["PASSWORD"] or "")},
        )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


def reading(times: int = 2_000) -> list[tuple[str, float]]:
    """Return the median milliseconds of `SELECT 1` and of reading versions."""

    def nothing() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()

    tags = {"bench_tagged": [versions.tag("partner_id", 7)]}
    told = []
    for name, work in (
        ("SELECT 1", nothing),
        ("the version of one table", lambda: versions.read(["bench_ours"])),
        ("of four tables", lambda: versions.read(["bench_ours", "bench_tagged", "billing_subscription", "ops_run"])),
        ("of the rows of one tag", lambda: versions.read([], tags)),
    ):
        taken = []
        for _ in range(times):
            begun = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begun)
        told.append((name, statistics.median(taken) * 1_000))
    return told


def bloat() -> tuple[int, float]:
    """Return the kilobytes of the versions' table, and the share of its updates that stayed on their page."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_total_relation_size('ops_tableversion') / 1024, n_tup_hot_upd::float / greatest(n_tup_upd, 1) "
            "FROM pg_stat_user_tables WHERE relname = 'ops_tableversion'"
        )
        kilobytes, share = cursor.fetchone()
        return int(kilobytes), float(share)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if settings.EMBEDDED is not None:
        settings.EMBEDDED.ensure()
    make()
    told: dict[str, list[float]] = {table: [] for table in CONTENDERS}
    for _ in range(options.rounds):
        for table, taken in told.items():
            taken.append(contend(table, options.clients, options.seconds))
    limit = statistics.median(told["bench_plain"])
    cells = [
        (title, f"{statistics.median(told[table]):,.0f}", f"{statistics.median(told[table]) / limit:.2f}")
        for table, title in CONTENDERS.items()
    ]
    title = f"{options.clients} clients, single-row updates, {options.rounds} rounds of {options.seconds} s"
    print(display.table(title, ("contender", "transactions a second", "x no version"), cells, ("x no version",)))
    print(display.table("Reading", ("what", "ms"), [(name, f"{taken:.3f}") for name, taken in reading()], ("ms",)))
    kilobytes, share = bloat()
    print(f"ops_tableversion: {kilobytes:,} kB with its index; {share:.1%} of its updates stayed on their page.")


if __name__ == "__main__":
    main()
