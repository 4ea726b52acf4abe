"""The reports of the billing domain and of ops itself, and what holds of every report that is registered."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from billing.models import Client, Currency, InvoiceLine, Plan, Service, Subscription, Upload
from ops.models import Run
from ops.reports import BadChoice, compute, find, names, tables
from ops.reports.trying import try_out

pytestmark = pytest.mark.django_db

Queries = Callable[[int], AbstractContextManager[Any]]
AS_OF = datetime(2026, 5, 19, 15, 30, tzinfo=UTC)
"""00:30 of Wednesday, the 20th, in Seoul."""


def at(day: str, time: str = "00:00") -> datetime:
    return datetime.fromisoformat(f"{day}T{time}+09:00")


@pytest.fixture
def _prices() -> None:
    for code, units in (("KRW", 0), ("USD", 2)):
        Currency.objects.get_or_create(code=code, defaults={"minor_units": units})


@pytest.mark.parametrize("name", ["revenue", "runs", "subscriptions", "uploads"])
def test_a_report_is_one_statement_however_many_windows(name: str, django_assert_num_queries: Queries) -> None:
    for windows in (["today"], [f"last_{n}_days" for n in range(1, 61)]):
        with django_assert_num_queries(1):
            compute(find(name), as_of=AS_OF, windows=windows, use_rollup=False)


def test_every_report_is_accepted_by_the_server_and_names_what_it_reads() -> None:
    assert len(names()) >= 4
    for name in names():
        report = find(name)
        assert set(try_out(report)) == set(tables(report)), name
        assert report.summary.endswith("."), name


def test_the_permission_of_every_report_exists() -> None:
    there_is = {f"{app}.{code}" for app, code in Permission.objects.values_list("content_type__app_label", "codename")}
    assert {find(name).permission for name in names()} - {""} <= there_is


def test_uploads() -> None:
    client = Client.objects.create(name="a client")
    for when, size, owner in [
        (at("2026-05-20"), 5, client),
        (at("2026-05-19", "23:59"), 7, None),
        (at("2026-05-18"), 11, client),  # Monday
        (at("2026-05-17", "23:59"), 13, None),
        (at("2026-05-01"), 2**40, None),  # the first hours of the month, which UTC has in the last one
        (at("2026-04-30", "23:59"), 17, client),
        (at("2026-04-21"), 19, None),
        (at("2026-04-20", "23:59"), 23, None),
    ]:
        Upload.objects.create(name="a file", size=size, uploaded_at=when, client=owner)
    found = compute(find("uploads"), as_of=AS_OF, use_rollup=False)
    assert found.as_json() == {
        "uploads": {
            "today": {"count": 1, "total_size": 5},
            "yesterday": {"count": 1, "total_size": 7},
            "this_week": {"count": 3, "total_size": 23},
            "last_week": {"count": 1, "total_size": 13},
            "this_month": {"count": 5, "total_size": 2**40 + 36},
            "last_month": {"count": 3, "total_size": 59},
            "last_30_days": {"count": 7, "total_size": 2**40 + 72},
        }
    }
    of_client = compute(find("uploads"), as_of=AS_OF, windows=["last_30_days"], filters={"client": str(client.pk)})
    assert of_client.as_json() == {"uploads": {"last_30_days": {"count": 3, "total_size": 33}}}
    with pytest.raises(BadChoice, match=r"^Filter 'client' of report 'uploads': Enter a whole number\.$"):
        compute(find("uploads"), filters={"client": "x"})


@pytest.mark.usefixtures("_prices")
def test_subscriptions_by_plan_and_currency() -> None:
    client, plan = Client.objects.create(name="a client"), Plan.objects.create(name="basic")
    won = Service.objects.create(name="won", full_price=1000, currency_id="KRW")
    dollar = Service.objects.create(name="dollar", full_price=Decimal("2.50"), currency_id="USD")
    for service, of, quantity, when, months in [
        (won, plan, 2, at("2026-05-20"), 1),
        (won, None, 1, at("2026-05-01"), 1),  # no plan, so no price
        (won, plan, 1, at("2026-05-19"), 3),
        (won, plan, 6, at("2026-05-18"), 12),
        (dollar, plan, 3, at("2026-05-31", "23:59"), 12),
        (dollar, plan, 1, at("2025-12-31", "23:59"), 1),
    ]:
        Subscription.objects.create(
            client=client, service=service, plan=of, quantity=quantity, started_at=when, billing_period=months
        )
    found = compute(find("subscriptions"), as_of=AS_OF, windows=["today", "this_month"]).as_json()["subscriptions"]
    # Of a month, a quarter and a year in won: 2000 + 333.33.. + 500.
    won_a_month, dollars_a_month = Decimal("2833.3333333333333333"), Decimal("0.625")
    assert found["this_month"] == {
        "groups": [
            {"plan": "basic", "currency": "KRW", "count": 3, "quantity": 9, "monthly": won_a_month, "unpriced": 0},
            {"plan": "basic", "currency": "USD", "count": 1, "quantity": 3, "monthly": dollars_a_month, "unpriced": 0},
            {"plan": None, "currency": "KRW", "count": 1, "quantity": 1, "monthly": Decimal(0), "unpriced": 1},
        ],
        "totals": [
            {"currency": "KRW", "count": 4, "quantity": 10, "monthly": won_a_month, "unpriced": 1},
            {"currency": "USD", "count": 1, "quantity": 3, "monthly": dollars_a_month, "unpriced": 0},
        ],
    }
    assert [(row["currency"], row["count"]) for row in found["today"]["totals"]] == [("KRW", 1)]
    only = compute(find("subscriptions"), as_of=AS_OF, windows=["last_year"], filters={"currency": "USD"}, groups=[])
    assert [row["values"]["monthly"] for row in only.totals["last_year"]] == [Decimal("2.5")]
    with pytest.raises(BadChoice, match=r"^Filter 'currency' of .*: Give three capital letters, such as KRW\.$"):
        compute(find("subscriptions"), filters={"currency": "won"})


@pytest.mark.usefixtures("_prices")
def test_revenue_by_customer_and_month() -> None:
    for invoice, code, price, quantity, when, customer, currency in [
        ("1", "A", 1000, 2, at("2026-05-01"), "c1", "KRW"),
        ("1", "B", 500, 1, at("2026-05-01"), "c1", "KRW"),
        ("2", "A", 1000, 1, at("2026-04-30", "23:59"), "c1", "KRW"),
        ("C3", "A", 1000, -1, at("2026-05-02"), "c1", "KRW"),
        ("4", "A", Decimal("1.25"), 3, at("2026-05-20"), None, "USD"),
    ]:
        InvoiceLine.objects.create(
            invoice=invoice,
            stock_code=code,
            price=price,
            quantity=quantity,
            invoiced_at=when,
            customer=customer,
            currency_id=currency,
        )
    found = compute(find("revenue"), as_of=AS_OF, windows=["this_quarter"]).as_json()["revenue"]["this_quarter"]
    assert found["groups"] == [
        {"customer": "c1", "month": "2026-04", "currency": "KRW", "revenue": Decimal(1000), "invoices": 1, "lines": 1},
        {"customer": "c1", "month": "2026-05", "currency": "KRW", "revenue": Decimal(1500), "invoices": 2, "lines": 3},
        {
            "customer": None,
            "month": "2026-05",
            "currency": "USD",
            "revenue": Decimal("3.75"),
            "invoices": 1,
            "lines": 1,
        },
    ]
    assert found["totals"] == [
        {"currency": "KRW", "revenue": Decimal(2500), "invoices": 3, "lines": 4},
        {"currency": "USD", "revenue": Decimal("3.75"), "invoices": 1, "lines": 1},
    ]
    # Whatever else is asked for, a window has its own months only.
    beside = compute(find("revenue"), as_of=AS_OF, windows=["this_month", "this_year"]).as_json()["revenue"]
    assert {row["month"] for row in beside["this_month"]["groups"]} == {"2026-05"}
    assert (
        beside["this_month"]
        == compute(find("revenue"), as_of=AS_OF, windows=["this_month"]).as_json()["revenue"]["this_month"]
    )
    # A month is one of the zone: at UTC's, all that was invoiced at 00:00 is of the month before.
    in_utc = compute(find("revenue"), as_of=AS_OF, windows=["this_quarter"], zone="UTC", groups=["month"])
    assert [(row["group"]["month"], row["values"]["lines"]) for row in in_utc.rows["this_quarter"]] == [
        ("2026-04", 3),
        ("2026-05", 1),
        ("2026-05", 1),
    ]
    unknown = compute(find("revenue"), as_of=AS_OF, windows=["this_month"], filters={"customer": ""}, groups=[])
    assert [row["values"]["lines"] for row in unknown.totals["this_month"]] == [1]
    either = compute(
        find("revenue"), as_of=AS_OF, windows=["this_month"], filters={"customer": ["", "c1"]}, groups=[]
    ).totals["this_month"]
    assert [(row["group"]["currency"], row["values"]["lines"]) for row in either] == [("KRW", 3), ("USD", 1)]


def test_runs_by_job() -> None:
    for job, state, changed, begun, seconds in [
        ("a.job", Run.State.DONE, 10, at("2026-05-20", "00:10"), 60),
        ("a.job", Run.State.DONE, 5, at("2026-05-20", "00:20"), 20),
        ("a.job", Run.State.FAILED, 0, at("2026-05-20", "00:25"), None),
        ("b.job", Run.State.PLANNED, 0, at("2026-05-19", "23:59"), 1),
    ]:
        Run.objects.create(
            job=job,
            verb=Run.Verb.APPLY,
            scope="*",
            state=state,
            as_of=begun,
            changed=changed,
            created_at=begun,
            finished_at=None if seconds is None else begun + timedelta(seconds=seconds),
        )
    found = compute(find("runs"), as_of=AS_OF, windows=["today", "yesterday"]).as_json()["runs"]
    nothing = {"count": 0, "done": 0, "failed": 0, "changed": 0, "seconds_p95": None}
    assert found["today"] == {
        "groups": [{"job": "a.job", "count": 3, "done": 2, "failed": 1, "changed": 15, "seconds_p95": 58.0}],
        "count": 3,
        "done": 2,
        "failed": 1,
        "changed": 15,
        "seconds_p95": 58.0,
    }
    assert found["yesterday"]["groups"] == [{"job": "b.job", **nothing, "count": 1, "seconds_p95": 1.0}]
    done = compute(find("runs"), as_of=AS_OF, windows=["today"], groups=[], filters={"state": ["done", "planned"]})
    assert done.totals["today"][0]["values"]["count"] == 2
