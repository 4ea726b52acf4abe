"""Plans: on tables large enough, the server reads a window's rows by the index that was made for the report."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from psycopg2.sql import SQL

from billing.models import Currency, Plan, Service
from ops.reports import find, statement

pytestmark = pytest.mark.django_db(transaction=True)

AS_OF = datetime(2026, 5, 19, 15, 30, tzinfo=UTC)

# Rows as they come in, one after the other: from the first midnight after 2024-05-31 in Seoul to that of 2026-05-22.
UPLOADS = """
INSERT INTO billing_upload (name, size, uploaded_at)
SELECT 'a file', i, timestamptz '2024-06-01 00:00+09' + i * interval '3 minutes' FROM generate_series(1, 345600) AS i
"""
LINES = """
INSERT INTO billing_invoiceline (invoice, stock_code, price, quantity, invoiced_at, customer, currency_id)
SELECT i / 20, i % 20, 1.25, 3, timestamptz '2024-06-01 00:00+09' + i * interval '10 minutes', i % 50, 'KRW'
FROM generate_series(1, 103680) AS i
"""
SUBSCRIPTIONS = """
INSERT INTO billing_subscription (client_id, service_id, plan_id, started_at)
SELECT c.id, %(service)s, %(plan)s, timestamptz '2024-06-01 00:00+09' + i * interval '30 minutes'
FROM generate_series(1, 34560) AS i CROSS JOIN (INSERT_CLIENT) AS c
"""
RUNS = """
INSERT INTO ops_run (job, verb, scope, state, params, as_of, target, columns, sql_digest, statements, code_version,
    started_by, started_from, options, consent, wish, target_time, workers, atomic, batches, changed, left_alone,
    fence, owner_host, created_at, message)
SELECT 'a.job', 'apply', '*', 'done', '{}', now(), '', '{}', '', '{}', '', '', '', '{}', true, '', 500, 1, false, 0, i,
    0, 1, '', timestamptz '2024-06-01 00:00+09' + i * interval '20 minutes', ''
FROM generate_series(1, 51840) AS i
"""


@pytest.fixture(autouse=True)
def _plain() -> Iterator[None]:
    """Keep the server from doing in parallel what would look another way."""
    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        yield
        cursor.execute("RESET max_parallel_workers_per_gather")


def fill(table: str, insert: str, values: dict[str, Any] | None = None) -> None:
    """Fill a table, and let the server know what is in it and that all may see it."""
    with connection.cursor() as cursor:
        cursor.execute(insert, values)
        cursor.execute(f"VACUUM ANALYZE {table}")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def reads(name: str, table: str, **options: Any) -> list[dict[str, Any]]:
    """Return the nodes of a report's plan that have read from a table, each executed."""
    made, values = statement(find(name), as_of=AS_OF, use_rollup=False, **options)
    with connection.cursor() as cursor:
        cursor.execute(SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + made, values)
        (found,) = cursor.fetchone()
    plan = found if isinstance(found, list) else json.loads(found)
    return [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == table]


def test_uploads_of_the_last_30_days_are_read_from_the_index_alone() -> None:
    fill("billing_upload", UPLOADS)
    # Only the windows' rows (a month ends later than these 30 days), and next to none of the table's pages: those that
    # another session of the server may not see yet.
    for windows, rows in (
        (["last_30_days"], 30 * 480),
        (["today", "this_week", "this_month", "last_30_days"], 31 * 480 + 1),
    ):
        (node,) = reads("uploads", "billing_upload", windows=windows)
        assert (node["Node Type"], node["Index Name"]) == ("Index Only Scan", "billing_upload_windows")
        assert node["Actual Rows"] == rows
        assert node["Heap Fetches"] < rows / 20
        assert "uploaded_at" in node["Index Cond"]
        assert "Filter" not in node
    # Of whom an upload is, is not in the index; but it bounds what is looked at.
    found = reads("uploads", "billing_upload", windows=["last_30_days"], filters={"client": 7})
    assert {node["Node Type"] for node in found} <= {"Index Scan", "Bitmap Heap Scan"}
    assert sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in found) == 30 * 480


def test_revenue_of_a_month_is_read_by_the_index() -> None:
    Currency.objects.get_or_create(code="KRW", defaults={"minor_units": 0})
    fill("billing_invoiceline", LINES)
    found = reads("revenue", "billing_invoiceline", windows=["this_month", "last_month"])
    assert {node["Node Type"] for node in found} <= {"Index Scan", "Bitmap Heap Scan"}
    assert sum(node["Actual Rows"] for node in found) == 51 * 144 + 1


def test_subscriptions_of_a_month_are_read_by_the_index() -> None:
    Currency.objects.get_or_create(code="KRW", defaults={"minor_units": 0})
    service = Service.objects.create(name="a service", full_price=100, currency_id="KRW")
    plan = Plan.objects.create(name="a plan")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO billing_client (name) VALUES ('a client') RETURNING id")
        (client,) = cursor.fetchone()
    insert = SUBSCRIPTIONS.replace("INSERT_CLIENT", "SELECT %(client)s::bigint AS id")
    fill("billing_subscription", insert, {"service": service.pk, "plan": plan.pk, "client": client})
    found = reads("subscriptions", "billing_subscription", windows=["today", "this_month"])
    assert {node["Node Type"] for node in found} <= {"Index Scan", "Bitmap Heap Scan"}
    assert sum(node["Actual Rows"] for node in found) == 21 * 48 + 1


def test_runs_of_a_month_are_read_by_the_index() -> None:
    fill("ops_run", RUNS)
    found = reads("runs", "ops_run", windows=["today", "this_month"])
    assert {node["Node Type"] for node in found} <= {"Index Scan", "Bitmap Heap Scan"}
    assert sum(node["Actual Rows"] for node in found) == 21 * 72 + 1
