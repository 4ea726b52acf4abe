"""Run all contenders and print their ratios: `python -m bench [--subscriptions N] [--quick]`."""

import argparse
import os
import statistics
import sys
from pathlib import Path

import django

os.environ.setdefault("SETWISE_EMBEDDED", "bench")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from bench import lab  # noqa: E402 - Django first
from bench.lab import HERE, Measured  # noqa: E402 - Django first
from billing.demo import Sizes  # noqa: E402 - Django first
from ops.management import display  # noqa: E402 - Django first

SAMPLED = {"save_loop": 10_000, "task_per_row": 10_000, "bulk_update": 100_000, "pgbulk_update": 100_000}


def _median(taken: list[Measured]) -> Measured:
    taken.sort(key=lambda one: one.whole)
    return taken[len(taken) // 2]


def limit() -> Measured:
    """The hand-written statements in psql: the price list, then one UPDATE .. FROM."""
    environment = lab.copy()
    seconds = lab.psql(lab.COPY, file=HERE / "price_list.sql") + lab.psql(lab.COPY, file=HERE / "single_update.sql")
    left = lab.differing(environment)
    assert left == 0, f"the hand-written statement leaves {left} rows differing"
    return Measured("UPDATE .. FROM by hand, psql (the limit)", 0, seconds)


def ours() -> tuple[Measured, float]:
    """The engine; also bytes of changeset per row."""
    environment = lab.copy()
    told = lab.contender("ours", environment)
    assert lab.differing(environment) == 0
    bytes_a_row = float(lab.scalar(lab.CHANGESETS)) / told["rows"]
    return Measured("Setwise (engine)", told["rows"], told["seconds"], told["megabytes"]), bytes_a_row


def command() -> Measured:
    """The whole command, Django's start included."""
    environment = lab.copy()
    seconds, peak, _ = lab.python(["manage.py", "reprice", "--no-input", "--json"], environment)
    return Measured("Setwise (manage.py reprice, whole)", 0, seconds, peak)


def peer(name: str, title: str, changes: int) -> Measured:
    """A contender of contenders.py, extrapolated where it wrote a sample."""
    environment = lab.copy()
    lab.psql(lab.COPY, file=HERE / "price_list.sql")
    told = lab.contender(name, environment, str(SAMPLED.get(name, 0)))
    measured = Measured(title, told["rows"], told["seconds"], told["megabytes"])
    if name in SAMPLED:
        measured.extrapolated = told["seconds"] / told["rows"] * changes
    else:
        assert lab.differing(environment) == 0
    return measured


def main() -> None:
    """Fill, run, print."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--subscriptions", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the limit and ours only")
    given = parser.parse_args()
    sizes = Sizes(
        clients=given.subscriptions // 10, services=1_000, plans=20, promotions=300, tiers=3_000,
        subscriptions=given.subscriptions,
    )  # fmt: skip
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, Django {django.__version__}")
    for fillfactor in (90, 100):
        lab.fill(sizes, fillfactor)
        report(given.repeat, quick=given.quick, fillfactor=fillfactor)


def report(repeat: int, *, quick: bool, fillfactor: int) -> None:
    """Run the contenders, interleaved, and print the medians as ratios to the limit."""
    limits, engines, commands, sizes = [], [], [], []
    for _ in range(repeat):
        limits.append(limit())
        one, bytes_a_row = ours()
        engines.append(one)
        sizes.append(bytes_a_row)
        commands.append(command())
    best, engine = _median(limits), _median(engines)
    rows = [best, engine, _median(commands)]
    if not quick:
        for name, title in (
            ("subquery_update", ".update(price=Subquery(..))"),
            ("bulk_update", "bulk_update, 1,000 a statement"),
            ("pgbulk_update", "django-pgbulk, 10,000 a statement"),
            ("save_loop", "save() in a loop"),
            ("task_per_row", "one Celery task per row"),
        ):
            rows.append(peer(name, title, engine.rows))
    cells = [
        (
            one.name,
            f"{one.whole:,.1f}{' *' if one.extrapolated else ''}",
            f"{one.whole / best.whole:,.2f}",
            f"{one.whole / engine.whole:,.1f}",
            f"{one.megabytes:,.0f}" if one.megabytes else "-",
        )
        for one in rows
    ]
    columns = ("contender", "seconds", "x limit", "x ours", "MB")
    print(display.table(f"Reprice {engine.rows:,} rows, fillfactor {fillfactor}", columns, cells, columns[1:]))
    print(
        "* extrapolated from a sample, see bench/__main__.py. Medians of",
        repeat,
        "interleaved runs of the first three.",
    )
    print(f"Changesets: {statistics.median(sizes):.1f} bytes a row on disk.")
    sweep()


def _bare_select() -> float:
    """Return the seconds to compute and deliver every wanted price by hand."""
    lab.psql(lab.COPY, "DROP TABLE IF EXISTS bench_price")
    return lab.psql(lab.COPY, file=HERE / "price_list.sql") + lab.psql(lab.COPY, file=HERE / "bare_select.sql")


def sweep() -> None:
    """A sweep that finds nothing against the bare SELECT; one service; the start of a command."""
    environment = lab.copy()
    lab.contender("ours", environment)
    bare = [_bare_select() for _ in range(3)]
    swept = [lab.contender("ours_sweep", environment)["seconds"] for _ in range(3)]
    own = statistics.median(lab.contender("own_select", environment)["seconds"] for _ in range(3))
    one = lab.contender("ours_one_service", lab.copy())
    helps = [lab.python(["manage.py", "reprice", "--help"], environment)[0] for _ in range(7)]
    checks = [lab.python(["manage.py", "check"], environment)[0] for _ in range(7)]
    bare_s, swept_s = statistics.median(bare), statistics.median(swept)
    help_s, check_s = statistics.median(helps), statistics.median(checks)
    print(
        f"Sweep that finds nothing: {swept_s:.2f} s, {swept_s / bare_s:.2f} x a SELECT by hand ({bare_s:.2f} s),",
        end=" ",
    )
    print(f"{swept_s / own:.2f} x the engine's own SELECT, bare ({own:.2f} s).")
    print(
        f"One service changed: {one['rows']:,} rows planned and applied in {one['seconds'] * 1000:.0f} ms of database."
    )
    print(f"reprice --help: {help_s:.2f} s, {help_s / check_s:.2f} x manage.py check.", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
