"""A small shop for tests, made set-based and the same each time, and a second connection beside Django's."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg2
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.models.functions import Now

from billing.models import Catalogue, Mark, Subscription
from ops.engine import registry
from ops.engine.jobs import Job
from ops.engine.lifecycle import Options
from ops.models import Changeset, Run

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING: dict[str, Any] = {"client": [], "dirty": False, "plan": [], "service": []}

MAKE = """
INSERT INTO billing_currency (code, minor_units) VALUES ('KRW', 0), ('USD', 2), ('KWD', 3);
INSERT INTO billing_client (name) SELECT 'client ' || i FROM generate_series(1, 50) AS i;
INSERT INTO billing_service (name, full_price, currency_id)
SELECT 'service ' || i, 100 + i * 1.37, (ARRAY['KRW', 'USD', 'KWD'])[1 + i %% 3] FROM generate_series(1, 20) AS i;
INSERT INTO billing_plan (name, discount_percent) SELECT 'plan ' || i, i * 2.5 FROM generate_series(1, 4) AS i;
INSERT INTO billing_quantitytier (service_id, minimum_quantity, percent) SELECT id, 10, 20 FROM billing_service;
INSERT INTO billing_subscription (client_id, service_id, plan_id, quantity)
SELECT c.ids[1 + i %% 50], s.ids[1 + i %% 20], p.ids[1 + i %% 4], 1 + i %% 15
FROM generate_series(1, %(subscriptions)s) AS i,
    (SELECT array_agg(id ORDER BY id) AS ids FROM billing_client) AS c,
    (SELECT array_agg(id ORDER BY id) AS ids FROM billing_service) AS s,
    (SELECT array_agg(id ORDER BY id) AS ids FROM billing_plan) AS p;
DELETE FROM billing_mark;
"""


def make_shop(subscriptions: int = 400) -> None:
    """Make 20 services, 4 plans and so many subscriptions, all priced, with no mark left."""
    # Tests that commit leave empty tables behind them, the catalogue's one row included.
    Catalogue.objects.get_or_create(id=1, defaults={"marked_until": Now()})
    with connection.cursor() as cursor:
        cursor.execute(MAKE, {"subscriptions": subscriptions})


def raise_prices(percent: int = 7) -> None:
    """Raise every service's list price, as an operator's SQL would."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_service SET full_price = full_price * %s", [1 + percent / 100])


def job() -> Job:
    return registry.find("billing.reprice")


def prices() -> dict[int, str]:
    return {pk: str(price) for pk, price in Subscription.objects.values_list("pk", "price")}


def small(**more: Any) -> Options:
    """Options with batches and waits so small that a test sees many of them."""
    return Options(**{"batch_size": 50, "lock_timeout": 100, "attempts": 2, **more})


def changed_rows(run: Run) -> list[tuple[str, str, str]]:
    """Return key, before, after of every row in a run's changesets."""
    rows = []
    for changeset in run.changesets.order_by("batch"):
        assert len(changeset.keys) == len(changeset.before) == len(changeset.after) == changeset.rows
        rows += list(zip(changeset.keys, changeset.before, changeset.after, strict=True))
    return rows


def untouched(before: dict[int, str]) -> None:
    """Assert that nothing was changed but the record of what was tried."""
    assert prices() == before
    assert not Changeset.objects.exists()
    assert not Mark.objects.filter(run_id__isnull=False).exists()


@contextmanager
def other_connection() -> Iterator[Any]:
    """Open a second connection to the test database, in autocommit until told otherwise."""
    settings = connection.get_connection_params()
    settings.pop("cursor_factory", None)
    settings.pop("context", None)
    opened = psycopg2.connect(**settings)
    opened.autocommit = True
    try:
        yield opened
    finally:
        opened.close()


def environment(**more: str) -> dict[str, str]:
    """Return the environment under which a process of its own works on the test database."""
    settings = connection.settings_dict
    found = {**os.environ, "DATABASE_URL": "", "DB_HOST": settings["HOST"], "DB_PORT": str(settings["PORT"] or "")}
    found |= {"DB_NAME": settings["NAME"], "DB_USER": settings["USER"] or "", "DB_PASS": settings["PASSWORD"] or ""}
    return {**found, **more}


@dataclass(frozen=True)
class Said:
    """How a command ended: exit code, what it printed, what it noted, and the sentence of its error."""

    code: int
    out: str
    err: str
    error: str


def command(*words: str) -> Said:
    """Run a command in this process."""
    out, err = StringIO(), StringIO()
    try:
        call_command(*words, stdout=out, stderr=err)
    except CommandError as exc:
        return Said(exc.returncode, out.getvalue(), err.getvalue(), str(exc))
    return Said(0, out.getvalue(), err.getvalue(), "")


def manage(*words: str, **more: str) -> subprocess.Popen[str]:
    """Start `manage.py` in a process of its own on the test database."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return exit code, output and errors of a process that is let run to its end."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def wait_until(what: str, **where: object) -> None:
    """Wait until there is such a run; fail after half a minute."""
    deadline = time.monotonic() + 30
    while not Run.objects.filter(**where).exists():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Crash(Exception):
    """What stands for a worker's death between two commits."""


def crashing(points: list[int]) -> tuple[list[int], Callable[[int, int], None]]:
    """Return the crashes that are still to come, and a progress function that raises Crash after so many batches each.

    A crash that comes after a run's last commit is not one of the run.
    """
    left = list(points)

    def crash(done: int, total: int) -> None:
        if left:
            left[0] -= 1
            if left[0] == 0:
                left.pop(0)
                raise Crash

    return left, crash
