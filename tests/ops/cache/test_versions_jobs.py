"""What a job declares to write is what its runs write: the versions that move say so."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now

from billing.models import Client, Currency, Partner, PriceChange, Service, Upload
from ops.cache import triggers, versions
from ops.engine import registry
from ops.engine.shape import quoted
from ops.models import Changeset, Reject, Run, RunEvent, Source, Window
from tests.ops.cache.versioned import declared
from tests.ops.counters import make_counters
from tests.ops.shop import command, make_shop, raise_prices

pytestmark = pytest.mark.django_db(transaction=True)

# What a run of any job writes down about itself.
ENGINE = {model._meta.db_table for model in (Run, RunEvent, Window, Source, Reject)}

ALL = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname
"""


@pytest.fixture(autouse=True)
def _every_table() -> Iterator[None]:
    """Give every table a version."""
    with declared(*tables()):
        triggers.install("default")
        yield
    triggers.install("default")


def tables() -> list[str]:
    """Return the tables but those of versions, and that of changesets, to which a run adds a partition."""
    without = {*triggers.OWN, Changeset._meta.db_table}
    with connection.cursor() as cursor:
        cursor.execute(ALL)
        return [versions.table_name(quoted(name)) for (name,) in cursor.fetchall() if name not in without]


def reprice(directory: Path) -> tuple[str, ...]:
    make_shop(40)
    raise_prices()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() + interval '300 milliseconds'")
        (soon,) = cursor.fetchone()
        PriceChange.objects.create(service=Service.objects.earliest("pk"), new_value=1, effective_at=soon)
        plan_change = "INSERT INTO billing_pricechange (plan_id, new_value, effective_at) SELECT min(id), 1, %s"
        cursor.execute(f"{plan_change} FROM billing_plan", [soon])
        cursor.execute("SELECT pg_sleep(0.4)")
    return ("reprice", "--no-input")


def backfill(directory: Path) -> tuple[str, ...]:
    make_counters()
    return ("backfill", "shelf.Counter.note", "--value", "'x' || id", "--no-input")


def upsert(directory: Path) -> tuple[str, ...]:
    (directory / "currencies.csv").write_text("code,minor_units\nKRW,0\nKWD,3\n", encoding="utf-8")
    return ("upsert", "billing.Currency", str(directory / "currencies.csv"), "--on", "code", "--no-input")


def save_report(directory: Path) -> tuple[str, ...]:
    return ("run_job", "ops.save_report", "--report", "uploads", "--no-input")


def refresh_rollup(directory: Path) -> tuple[str, ...]:
    assert command("run_job", "ops.refresh_rollup", "--report", "uploads", "--rebuild", "--no-input").code == 0
    make_shop(1)
    Upload.objects.create(client=Client.objects.earliest("pk"), name="one.csv", size=5, uploaded_at=Now())
    return ("run_job", "ops.refresh_rollup", "--report", "uploads", "--no-input")


def save_receivables(directory: Path) -> tuple[str, ...]:
    make_shop(1)
    Partner.objects.create(client=Client.objects.earliest("pk"), currency=Currency.objects.earliest("pk"))
    return ("run_job", "billing.save_receivables", "--no-input")


# How a run of each job comes to write all that it may, and what a job whose target is a parameter writes.
RUNS: dict[str, tuple[Callable[[Path], tuple[str, ...]], set[str]]] = {
    "billing.reprice": (reprice, set()),
    "billing.save_receivables": (save_receivables, set()),
    "ops.backfill": (backfill, {"shelf_counter"}),
    "ops.refresh_rollup": (refresh_rollup, set()),
    "ops.save_report": (save_report, set()),
    "ops.upsert": (upsert, {"billing_currency"}),
}


def test_every_job_of_the_project_is_looked_at() -> None:
    # A repair makes tables and what belongs to them; the rows of none, which is what versions are of.
    known = {name for name in registry.names() if not name.startswith(("shelf.", "test."))}
    assert set(RUNS) == known - {"ops.repair_migrations"}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_writes_what_its_job_declares_and_nothing_else(name: str, tmp_path: Path) -> None:
    prepare, more = RUNS[name]
    words = prepare(tmp_path)
    before = versions.read(tables()).by_table
    said = command(*words)
    assert (said.code, said.error) == (0, ""), said.out
    after = versions.read(tables()).by_table
    moved = {table for table, number in after.items() if number != before.get(table)}
    assert moved - ENGINE == {*triggers.written_by(registry.find(name)), *more}
    assert "ops_run" in moved
