"""How the server carries out the statement, on tables that are large enough for it to choose."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction

from billing import receivables
from billing.models import Order
from ops import sql
from ops.engine.session import Session
from tests.billing.debts import Debts, partner

pytestmark = pytest.mark.django_db

AS_OF = datetime(2026, 3, 1, 3, tzinfo=UTC)
MAKE = """
INSERT INTO billing_fxrate (currency, day, rate)
SELECT c.code, d::date, c.rate FROM (VALUES ('KRW', 1500), ('USD', 1.1), ('JPY', 160), ('KWD', 0.34)) AS c (code, rate),
    generate_series('2016-01-01'::timestamp, '2026-03-01', '1 day') AS d;
INSERT INTO billing_order (
    partner_id, type, reference, status, sold_at, sell_amount, sell_currency_id, sell_rate, pending_on, due_on,
    refund_amount, refund_currency_id, refund_rate
)
SELECT
    p.ids[1 + i %% cardinality(p.ids)], 'hotel', 'R' || i, CASE WHEN i %% 50 = 0 THEN 'cancelled' ELSE 'booked' END,
    '2026-03-01'::timestamptz - make_interval(mins => i), i %% 997, (ARRAY['KRW', 'USD', 'JPY'])[1 + i %% 3], 1.5,
    '2026-01-01', '2026-02-01'::date + i %% 60, CASE WHEN i %% 50 = 0 THEN 10 ELSE 0 END, 'USD', 1.1
FROM generate_series(1, 60000) AS i, (SELECT array_agg(id) AS ids FROM billing_partner) AS p;
ANALYZE billing_order, billing_fxrate, billing_partner, billing_currency;
"""


def store(partners: int = 300) -> list[int]:
    """Make 60,000 orders that are not paid."""
    currencies = ("KRW", "USD", "EUR", "KWD")
    ids = Debts([partner(currency_id=currencies[i % 4]) for i in range(partners)], []).store()
    with connection.cursor() as cursor:
        cursor.execute(MAKE, {})
    return ids


def plan(*, set_first: str = "", **question: Any) -> dict[str, Any]:
    """Return the server's plan of the statement, as it is executed by `receivables.compute`."""
    asked = {"partners": None, "rates": "sale", "currency": "", **question}
    values = receivables.parameters_of(
        asked["partners"], AS_OF, asked["rates"], asked["currency"], (30, 60, 90), receivables.MAX_AGE_OF_RATE
    )
    session = Session("default")
    with (
        transaction.atomic(),
        session.transaction(lock_timeout=1000, statement_timeout=0),
        connection.cursor() as cursor,
    ):
        cursor.execute(set_first or "SET LOCAL max_parallel_workers_per_gather = 0")
        cursor.execute("EXPLAIN (FORMAT JSON) " + sql.load(receivables.STATEMENT).body, values)
        (found,) = cursor.fetchone()
    document = json.loads(found) if isinstance(found, str) else found
    top: dict[str, Any] = document[0]["Plan"]
    return top


def nodes(top: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Yield each node of a plan with the kinds of those above it."""
    yield top, above
    for one in top.get("Plans", ()):
        yield from nodes(one, (*above, top["Node Type"]))


def part(top: dict[str, Any]) -> dict[str, Any]:
    """Return the plan of what adds orders up: all but a few per cent of the work."""
    (found,) = [node for node, _ in nodes(top) if node.get("Subplan Name") == "CTE part"]
    return found


def scans(top: dict[str, Any], table: str) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    return [(node, above) for node, above in nodes(top) if node.get("Relation Name") == table]


def indexes(top: dict[str, Any]) -> set[str]:
    return {node["Index Name"] for node, _ in nodes(top) if "Index Name" in node}


@pytest.mark.parametrize("question", [{}, {"rates": "as-of"}, {"currency": "KWD"}])
def test_rates_are_looked_up_by_the_key_and_orders_are_hashed(question: dict[str, Any]) -> None:
    store()
    found = plan(**question)
    rates = [node for node, _ in scans(found, "billing_fxrate")]
    assert {node.get("Index Name") for node in rates} == {"billing_fxrate_pkey"}
    orders = scans(part(found), "billing_order")
    # What is owed, and refunds; none is looked up one by one, and no rate is for an order.
    assert len(orders) == 2
    assert [above for _, above in orders if "Nested Loop" in above] == []
    assert all("Hash Join" in above for _, above in orders)
    assert "billing_fxrate" not in {node.get("Relation Name") for node, _ in nodes(part(found))}


def test_orders_are_shared_by_parallel_workers() -> None:
    store()
    settings = {"parallel_setup_cost": 0, "parallel_tuple_cost": 0, "min_parallel_table_scan_size": 0}
    settings["max_parallel_workers_per_gather"] = 2
    found = part(plan(set_first="; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items())))
    orders = scans(found, "billing_order")
    # The division and the sums are below what gathers, too.
    kinds = [node["Node Type"] + node.get("Partial Mode", "") for node, _ in nodes(found)]
    assert "AggregatePartial" in kinds
    assert kinds.index("AggregatePartial") > min(i for i, kind in enumerate(kinds) if kind.startswith("Gather"))
    assert all("Aggregate" in above for _, above in orders)


def test_of_years_of_orders_those_that_are_open_are_found_by_an_index() -> None:
    store()
    Order.objects.extra(where=["id %% 40 > 0"]).update(paid_on="2026-02-15", refunded_on="2026-02-16")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_order")
    found = plan()
    assert {"billing_order_paid_on", "billing_order_refunded_on"} <= indexes(part(found))
    assert [node for node, _ in scans(part(found), "billing_order") if node["Node Type"] == "Seq Scan"] == []
    assert "billing_order_sold_at" in indexes(found)


def test_one_partners_orders_are_found_by_its_index() -> None:
    ids = store()
    found = plan(partners=ids[:1])
    assert [node for node, _ in scans(found, "billing_order") if node["Node Type"] == "Seq Scan"] == []
    assert any(name.startswith("billing_order_partner_id") for name in indexes(part(found)))


def test_nothing_is_read_twice_where_nothing_is_to_be_named() -> None:
    store()
    question = {"as_of": AS_OF, "ages": None}
    lines = receivables.explain(**question)
    text = "\n".join(lines)
    assert "One-Time Filter" in text
    # The second reading of orders is planned, and not executed.
    named = text[text.index("One-Time Filter") :]
    assert "never executed" in named
    assert receivables.compute(**question).lacks == 0


@pytest.mark.parametrize("question", [{}, {"rates": "as-of"}, {"currency": "KWD"}])
def test_what_is_told_of_a_partner_is_put_together_by_hashing_or_sorting(question: dict[str, Any]) -> None:
    """Not by holding every partner against every other: 2,000 of them would be four million, twice."""
    store(partners=1000)
    joins = [node for node, _ in nodes(plan(**question)) if node["Node Type"] == "Nested Loop"]
    # False is that of the join which the other kind of rates would want.
    assert [node for node in joins if node.get("Join Filter", "false") != "false"] == []
