"""Plans: a rollup's rows come by their key, touched buckets by the source's index alone, and nothing else is read."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from psycopg2.sql import SQL, Composable

from billing.models import Upload
from billing.reports import Uploads
from ops.reports import compute, rollup_compiler, statement
from ops.reports.rollup_kept import keep
from tests.ops.reports.rolled import ask, assert_same, refresh, registered
from tests.ops.reports.test_plans import UPLOADS, fill, nodes

pytestmark = pytest.mark.django_db(transaction=True)

AS_OF = datetime(2026, 5, 19, 15, 30, tzinfo=UTC)
WINDOWS = ["today", "last_30_days", "last_365_days", "last_500_days"]


@pytest.fixture(autouse=True)
def _uploads(transactional_db: None) -> Iterator[None]:
    fill("billing_upload", UPLOADS)
    with registered(Uploads):
        refresh("uploads", rebuild=True)
        ask("VACUUM ANALYZE ops_rolluprow")
        ask("SET max_parallel_workers_per_gather = 0")
        yield
    ask("RESET max_parallel_workers_per_gather")


def explained(made: Composable, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a statement's plan that were executed."""
    with connection.cursor() as cursor:
        cursor.execute(SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ") + made, values)
        plan = cursor.fetchone()[0]
    found = json.loads(plan) if isinstance(plan, str) else plan
    return [node for node in nodes(found[0]["Plan"]) if node["Actual Loops"]]


def of(found: list[dict[str, Any]], relation: str) -> list[tuple[str, str, float]]:
    """Return how a relation was read: the kind of scan, its index, and its rows."""
    return [
        (node["Node Type"], node.get("Index Name", ""), node["Actual Rows"] * node["Actual Loops"])
        for node in found
        if node.get("Relation Name") == relation
    ]


def test_nothing_touched_reads_nothing_of_the_source() -> None:
    found = explained(*statement(Uploads(), as_of=AS_OF, windows=WINDOWS))
    assert of(found, "billing_upload") == []
    assert of(found, "ops_rolluprow") == [("Index Scan", "ops_rolluprow_pkey", 500)]


def test_what_is_touched_is_read_by_the_index_alone() -> None:
    for at in ("2026-05-20 00:10+09", "2025-07-01 12:00+09"):
        Upload.objects.create(name="late", size=1, uploaded_at=datetime.fromisoformat(at))
    ask("VACUUM billing_upload")
    found = explained(*statement(Uploads(), as_of=AS_OF, windows=WINDOWS))
    # Two days of an event every three minutes, and the two that came.
    assert of(found, "billing_upload") == [("Index Only Scan", "billing_upload_windows", 962)]
    assert of(found, "ops_rolluprow") == [("Index Scan", "ops_rolluprow_pkey", 500)]
    assert_same(Uploads(), as_of=AS_OF, windows=WINDOWS)


def test_a_refresh_reads_what_was_touched_and_no_more() -> None:
    Upload.objects.create(name="late", size=1, uploaded_at=datetime.fromisoformat("2025-07-01 12:00+09"))
    kept = keep(Uploads(), "default")
    ids = [row[0] for row in ask("SELECT id FROM ops_rolluptouched WHERE report = 'uploads'")]
    assert len(ids) == 1
    found = explained(rollup_compiler.take(kept), {**rollup_compiler.values(kept), "ids": ids})
    ((kind, index, rows),) = of(found, "billing_upload")
    assert (kind.startswith("Seq"), index, rows) == (False, "billing_upload_windows", 481)
    assert {kind for kind, _, _ in of(found, "ops_rolluprow")} <= {"Index Scan", "Bitmap Heap Scan", "ModifyTable"}


def test_the_rollup_is_many_times_faster_than_the_table() -> None:
    def best(**more: Any) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            compute(Uploads(), as_of=AS_OF, windows=WINDOWS, **more)
            times.append(time.perf_counter() - start)
        return min(times)

    # A fortieth here, with a third of a million rows; at ten million less than a hundredth.
    assert best() < best(use_rollup=False) / 4
