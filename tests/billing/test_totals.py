"""The subscriptions total: right to the last unit for every filter, one statement, and never older than the tables."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from billing import totals
from billing.models import Client, Currency, Plan, Service, Subscription
from tests.billing.conftest import Shop, run_sql

UNITS = {"KRW": 0, "JPY": 0, "USD": 2, "KWD": 3}
PRICES = ["0", "0.0005", "0.005", "0.0049", "0.5", "1", "2.5", "9.995", "99.99", "1234.5678", "99999999999999.9999"]


def reference(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Total the subscriptions one by one, in Decimal."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    count = unpriced = 0
    for one in Subscription.objects.select_related("service__currency").order_by("pk"):
        currency = one.service.currency
        if filters.get("client") not in (None, one.client_id) or filters.get("plan") not in (None, one.plan_id):
            continue
        if filters.get("service") not in (None, one.service_id):
            continue
        if filters.get("currency") not in (None, currency.code if currency else ""):
            continue
        count += 1
        if one.price is None or currency is None:
            unpriced += 1
            continue
        unit = Decimal(1).scaleb(-currency.minor_units)
        sums[currency.code] += (one.price * one.quantity).quantize(unit, ROUND_HALF_UP)
    return {
        "total_amount": None if len(sums) > 1 else sum(sums.values(), Decimal(0)),
        "totals": [{"currency": code, "amount": amount} for code, amount in sorted(sums.items())],
        "subscriptions": count,
        "unpriced": unpriced,
    }


@pytest.fixture
def queries() -> Iterator[list[str]]:
    """The statements that are executed."""
    found: list[str] = []

    def note(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        found.append(str(sql))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found


def test_the_list_and_its_total(open_shop: Shop) -> None:
    Client.objects.update(email="kim@example.com")
    mail, student, disk, student_disk = open_shop.subscriptions
    Subscription.objects.filter(pk=student.pk).update(plan=None)
    found = totals.subscriptions()
    assert found["result"][0] == {
        "id": mail.pk,
        "plan_id": open_shop.plan.pk,
        "client_name": "Kim",
        "email": "kim@example.com",
        "plan": {"id": open_shop.plan.pk, "plan_type": "full", "discount_percent": Decimal(0)},
        "price": Decimal("100.0000"),
    }
    assert (found["result"][1]["plan"], found["result"][1]["plan_id"]) == (None, None)
    assert [row["id"] for row in found["result"]] == [mail.pk, student.pk, disk.pk, student_disk.pk]
    assert found["total_amount"] is None
    assert found["totals"] == [
        {"currency": "KRW", "amount": Decimal(95_000)},
        {"currency": "USD", "amount": Decimal("190.00")},
    ]
    assert (found["subscriptions"], found["unpriced"]) == (4, 0)


def test_the_total_of_a_filtered_list_is_its_own(open_shop: Shop) -> None:
    mail, disk, student = open_shop.service.pk, open_shop.other.pk, open_shop.student.pk
    amounts = {
        (("service", mail),): Decimal(190),
        (("service", disk),): Decimal(95_000),
        (("currency", "USD"),): Decimal(190),
        (("service", mail), ("plan", student)): Decimal(90),
        (("client", open_shop.client.pk), ("plan", student)): None,
        (("client", 0),): Decimal(0),
        (("currency", "KWD"),): Decimal(0),
        (("service", mail), ("currency", "KRW")): Decimal(0),
    }
    for _ in range(2):
        for filters, amount in amounts.items():
            found = totals.subscriptions(dict(filters))
            assert found["total_amount"] == amount
            assert len(found["result"]) == found["subscriptions"]
            assert {name: found[name] for name in found if name != "result"} == reference(dict(filters))
    # An id as a text, and None for no restriction, are what they say.
    assert totals.subscriptions_total({"service": str(mail), "plan": None}) == totals.subscriptions_total(
        {"service": mail}
    )
    assert totals.subscriptions_total({"client": None}) == totals.subscriptions_total() == reference({})


def test_an_answer_from_the_cache_is_one_statement_and_any_other_one_more(open_shop: Shop, queries: list[str]) -> None:
    filters = {"service": open_shop.service.pk}
    first = totals.subscriptions_total(filters)
    assert len([one for one in queries if "FROM billing_subscription AS s" in one]) == 1
    queries.clear()
    assert totals.subscriptions_total(filters) == first
    assert len(queries) == 1
    assert "ops_versions" in queries[0]
    queries.clear()
    assert len(totals.list_subscriptions()) == 4
    assert len(queries) == 1
    for _ in range(3):
        open_shop.new().save()
    queries.clear()
    assert [row["id"] for row in totals.list_subscriptions(filters, after=open_shop.subscriptions[0].pk, limit=3)] == (
        list(Subscription.objects.filter(service=open_shop.service).order_by("pk").values_list("pk", flat=True)[1:4])
    )
    assert len(queries) == 2


def test_every_write_that_matters_is_seen(open_shop: Shop, other_connection: BaseDatabaseWrapper) -> None:
    assert totals.subscriptions_total({"currency": "USD"})["total_amount"] == 190
    run_sql("UPDATE billing_subscription SET quantity = 2", using=other_connection)
    assert totals.subscriptions_total({"currency": "USD"})["total_amount"] == 380
    run_sql("UPDATE billing_subscription SET price = price + 0.004", using=other_connection)
    assert totals.subscriptions_total({"currency": "USD"})["total_amount"] == Decimal("380.02")
    run_sql("UPDATE billing_currency SET minor_units = 3", using=other_connection)
    assert totals.subscriptions_total({"currency": "USD"})["total_amount"] == Decimal("380.016")
    run_sql("UPDATE billing_service SET currency_id = 'KRW'", using=other_connection)
    assert totals.subscriptions_total({"currency": "USD"})["total_amount"] == 0
    answer = totals.total_of.answer(currency="USD")
    assert (answer.hit, answer.stale) == (True, False)
    run_sql("UPDATE billing_client SET name = 'Lee'", using=other_connection)
    run_sql("UPDATE billing_plan SET name = name || '.'", using=other_connection)
    assert totals.total_of.answer(currency="USD").hit
    with transaction.atomic():
        Subscription.objects.filter(service=open_shop.service).delete()
        assert totals.subscriptions_total()["subscriptions"] == 2
        transaction.set_rollback(True)
    assert totals.subscriptions_total()["subscriptions"] == 4


def test_list_and_total_are_of_one_moment(open_shop: Shop, other_connection: BaseDatabaseWrapper) -> None:
    """A row that is committed between the two statements is in neither."""
    add = "INSERT INTO billing_subscription (client_id, service_id, plan_id) SELECT client_id, service_id, plan_id "
    add += "FROM billing_subscription ORDER BY id LIMIT 1"
    todo = [add]

    def meanwhile(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        if "billing_client" in str(sql) and todo:
            run_sql(todo.pop(), using=other_connection)
        return found

    with connection.execute_wrapper(meanwhile):
        found = totals.subscriptions()
    assert todo == []
    assert (len(found["result"]), found["subscriptions"]) == (4, 4)
    assert totals.subscriptions()["subscriptions"] == 5


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"colour": 1}, "Subscriptions have no filter 'colour'; there is: client, plan, service, currency."),
        ({"client": "Kim"}, "client='Kim' is no id: write a whole number."),
        ({"plan": [1]}, "plan=[1] is no id: write a whole number."),
    ],
)
def test_a_filter_that_there_is_not_is_refused(filters: dict[str, Any], said: str) -> None:
    for ask in (totals.subscriptions_total, totals.list_subscriptions):
        with pytest.raises(totals.BadFilter) as caught:
            ask(filters)
        assert str(caught.value) == said


IDS = st.one_of(st.none(), st.integers(1, 3))
ROWS = st.lists(
    st.tuples(
        st.integers(1, 3),  # client
        st.integers(1, 5),  # service; the fifth has no currency
        IDS,  # plan
        st.sampled_from([1, 2, 3, 7, 2_147_483_647]),
        st.one_of(st.none(), st.sampled_from(PRICES)),
    ),
    max_size=12,
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "client": IDS,
        "plan": IDS,
        "service": st.one_of(st.none(), st.integers(1, 5)),
        "currency": st.sampled_from([None, *UNITS, "EUR"]),
    },
)


class TestAgainstTheReference(TestCase):
    """Any subscriptions, any filter: what the statement says is what a loop in Decimal does."""

    @given(ROWS, st.lists(FILTERS, min_size=1, max_size=4))
    @settings(max_examples=60, deadline=None)
    def test_any_filter(self, rows: list[tuple[Any, ...]], filters: list[dict[str, Any]]) -> None:
        Currency.objects.bulk_create([Currency(code=code, minor_units=units) for code, units in UNITS.items()])
        Client.objects.bulk_create([Client(id=pk, name=f"client {pk}") for pk in range(1, 4)])
        Plan.objects.bulk_create([Plan(id=pk, name=f"plan {pk}") for pk in range(1, 4)])
        currencies = [*UNITS, None]
        Service.objects.bulk_create(
            [Service(id=pk, name=f"service {pk}", currency_id=currencies[pk - 1]) for pk in range(1, 6)]
        )
        for client, service, plan, quantity, price in rows:
            made = Subscription.objects.create(client_id=client, service_id=service, plan_id=plan, quantity=quantity)
            Subscription.objects.filter(pk=made.pk).update(price=price)
        for one in [{}, *filters]:
            assert totals.subscriptions_total(one) == reference(one)
            assert len(totals.list_subscriptions(one)) == reference(one)["subscriptions"]
