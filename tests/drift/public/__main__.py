"""Try repairs on public projects: `python -m tests.drift.public [NAME..] [--seed N] [--damages N] [--healthy]`."""

import argparse
import os
import sys

import django

for _name in ("DATABASE_URL", "REDIS_URL", "DB_HOST"):
    os.environ.setdefault(_name, "")
os.environ.setdefault("SETWISE_EMBEDDED", "public")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from ops.management import display  # noqa: E402 - Django first
from tests.drift.public import trials  # noqa: E402 - Django first
from tests.drift.public.projects import PROJECTS  # noqa: E402 - Django first

COLUMNS = ("project", "tables", "mode", "plan s", "lost", "made", "refused", "faults")


def _row(one: trials.Trial) -> tuple[object, ...]:
    return (
        one.project, one.tables or "", one.mode, f"{one.seconds:.1f}", one.lost, one.made, one.refused, len(one.faults),
    )  # fmt: skip


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(PROJECTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--damages", type=int, default=10)
    parser.add_argument("--healthy", action="store_true", help="no damage, only that nothing is found")
    asked = parser.parse_args()
    found = []
    for name in asked.names:
        ways = [lambda name=name: trials.healthy(name)]
        if not asked.healthy:
            ways.append(lambda name=name: trials.damaged(name, asked.seed, asked.damages))
        for way in ways:
            one = way()
            found.append(one)
            for text in (*one.damages, *(f"FAULT {fault}" for fault in one.faults)):
                _say(f"{name}: {text}")
            _say(" ".join(f"{column}={value}" for column, value in zip(COLUMNS, _row(one), strict=True)))
    _say(display.table("Public projects", COLUMNS, [_row(one) for one in found], right=COLUMNS[3:]))
    return int(any(one.faults for one in found))


if __name__ == "__main__":
    sys.exit(main())
