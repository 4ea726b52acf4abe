"""What a plan of a repair takes, and says of healthy databases: `python -m bench.repair [--rounds N] [--public]`.

Each project is planned by a replay (no cache), by the cached snapshot, and in reduced mode, as a role that may make no
database. `inside` is by the plan's own stop-watch, `whole` with the start of Python and Django; the least of the rounds
counts, since what else the machine does only adds. With --public it also plans wagtail with oscar, and these with a
dozen others in one project, which pip installs into a virtual environment of the temporary directory.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import django

for _name in ("DATABASE_URL", "REDIS_URL", "DB_HOST"):
    os.environ.setdefault(_name, "")
os.environ.setdefault("SETWISE_EMBEDDED", "bench")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402 - Django first

from ops import clock  # noqa: E402 - Django first
from ops.management import display  # noqa: E402 - Django first
from tests.drift import sample  # noqa: E402 - Django first
from tests.drift.public import lab  # noqa: E402 - Django first
from tests.ops.scratch import rows  # noqa: E402 - Django first

ROLE, PASSWORD = "bench_reader", "only-for-benchmarks"
COLUMNS = ("project", "tables", "mode", "inside s", "whole s", "above info", "info")
PUBLIC = {"wagtail_oscar": "wagtail with oscar", "together": "both and 12 more"}
"""Projects of tests/drift/public, and what the table calls them."""

Planned = Callable[[str, dict[str, str]], tuple[dict[str, Any], float]]


@dataclass
class Measured:
    """The least of several rounds of one plan."""

    mode: str
    inside: float
    whole: float
    above: int
    info: int


def of_sample(option: str, environment: dict[str, str]) -> tuple[dict[str, Any], float]:
    """Plan the sample project in a process of its own."""
    begun = clock.monotonic()
    words = ["repair_migrations", "--json", *([option] if option else [])]
    said = sample.ended(sample.process(*words, database=sample.template(), **environment))
    assert said.code == 0, said.err
    return json.loads(said.out), clock.monotonic() - begun


def of_public(project: str) -> Planned:
    """Return what plans a public project."""

    def plan(option: str, environment: dict[str, str]) -> tuple[dict[str, Any], float]:
        words = ["repair_migrations", "--json", *([option] if option else [])]
        said = lab.manage(project, lab.template(project), *words, **environment)
        return said.json, said.seconds

    return plan


def measure(plan: Planned, option: str, environment: dict[str, str], rounds: int) -> Measured:
    """Return the least of the rounds."""
    found = [plan(option, environment) for _ in range(rounds)]
    told, _ = found[0]
    above = sum(one["severity"] != "info" for one in told["findings"])
    inside = min(sum(one["seconds"].values()) for one, _ in found)
    return Measured(told["mode"], inside, min(whole for _, whole in found), above, len(told["findings"]) - above)


def role(database: str) -> dict[str, str]:
    """Make a role that reads and makes no database; return the environment of a command that it runs."""
    if not rows(database, "SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]):
        rows(database, f"CREATE ROLE {ROLE} LOGIN NOCREATEDB PASSWORD '{PASSWORD}' IN ROLE pg_read_all_data")
    return {"DATABASE_USER": ROLE, "DATABASE_PASSWORD": PASSWORD}


def tables(database: str) -> int:
    """Return how many tables there are."""
    return sum(one["kind"] == "table" for one in lab.objects(database).values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--public", action="store_true", help="wagtail with oscar too; pip installs them")
    asked = parser.parse_args()
    connection.ensure_connection()
    projects: list[tuple[str, str, Planned]] = [("sample", sample.template(), of_sample)]
    if asked.public:
        for project, title in PUBLIC.items():
            projects.append((title, lab.template(project), of_public(project)))
    told = []
    for name, database, plan in projects:
        environment = role(database)
        # The first fills the cache.
        plan("", {})
        for option, who in (("--no-cache", {}), ("", {}), ("--no-cache", environment)):
            one = measure(plan, option, who, asked.rounds)
            told.append(
                (name, tables(database), one.mode, f"{one.inside:.2f}", f"{one.whole:.2f}", one.above, one.info)
            )
            print(f"{name}: {one}", flush=True)
    print(display.table("Plans of healthy databases", COLUMNS, told, right=COLUMNS[3:]))


if __name__ == "__main__":
    main()
