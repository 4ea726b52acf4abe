"""/api/subscriptions/: pages and totals that agree with a loop over the rows, in four queries at most."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from psycopg2.sql import SQL
from pytest_django import DjangoAssertNumQueries

from billing import api, totals
from billing.models import Client, Service, Subscription
from ops import sql
from ops.cache import versions
from ops.engine.session import Session
from ops.web.api_rows import together
from tests.billing.conftest import Shop, run_sql
from tests.ops.shop import make_shop
from tests.ops.web.asking import Program, assert_sound, user

MAY = ("billing.view_subscription", "billing.view_client", "billing.view_plan")
ADDRESS = "/api/subscriptions/"


@pytest.fixture
def cold() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def program(db: None) -> Program:
    return Program(user("kim", *MAY))


def expected(**filters: Any) -> list[dict[str, Any]]:
    """Return what a list ought to be, told row by row."""
    columns = {"client": "client_id", "plan": "plan_id", "service": "service_id", "currency": "service__currency_id"}
    rows = Subscription.objects.filter(**{columns[name]: value for name, value in filters.items()}).order_by("pk")
    return [
        {
            "id": one.pk,
            "plan_id": one.plan_id,
            "client_name": one.client.name,
            "email": one.client.email,
            "plan": one.plan
            and {
                "id": one.plan.pk,
                "plan_type": one.plan.plan_type,
                "discount_percent": one.plan.discount_percent,
            },
            "price": one.price,
            "currency": one.service.currency_id,
        }
        for one in rows.select_related("client", "plan", "service")
    ]


def as_told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as a program has them, amounts read as the decimals that they are."""
    for row in rows:
        row["price"] = None if row["price"] is None else Decimal(row["price"])
        if row["plan"]:
            row["plan"]["discount_percent"] = Decimal(row["plan"]["discount_percent"])
    return rows


def summed(**filters: Any) -> dict[str, Decimal]:
    """Total by a loop: price times quantity, rounded row by row."""
    columns = {"client": "client_id", "plan": "plan_id", "service": "service_id", "currency": "service__currency_id"}
    found: dict[str, Decimal] = {}
    rows = Subscription.objects.filter(**{columns[name]: value for name, value in filters.items()})
    for one in rows.select_related("service__currency"):
        if one.price is not None and one.service.currency is not None:
            unit = Decimal(1).scaleb(-one.service.currency.minor_units)
            amount = (one.price * one.quantity).quantize(unit, ROUND_HALF_UP)
            found[one.service.currency.code] = found.get(one.service.currency.code, Decimal(0)) + amount
    return found


def followed(program: Program, address: str) -> list[dict[str, Any]]:
    """Return all pages from an address on."""
    found = [program.get(address)]
    while found[-1]["next"]:
        assert found[-1]["next"].startswith(f"http://testserver{ADDRESS}?")
        found.append(program.get(found[-1]["next"]))
    return found


# What is answered


def test_a_row_has_what_is_promised_and_no_more(program: Program, shop: Shop) -> None:
    Client.objects.update(email="kim@example.com")
    assert program.get(f"{ADDRESS}?plan={shop.student.pk}&currency=USD") == {
        "result": [
            {
                "id": shop.subscriptions[1].pk,
                "plan_id": shop.student.pk,
                "client_name": "Kim",
                "email": "kim@example.com",
                "plan": {"id": shop.student.pk, "plan_type": "student", "discount_percent": "10"},
                "price": "90",
                "currency": "USD",
            }
        ],
        "total_amount": "90",
        "totals": [{"currency": "USD", "amount": "90"}],
        "subscriptions": 1,
        "unpriced": 0,
        "next": None,
    }


@pytest.mark.django_db
def test_pages_and_totals_are_those_of_a_loop(program: Program) -> None:
    make_shop(70)
    client, service = Client.objects.order_by("pk")[3], Service.objects.order_by("pk")[5]
    for filters in (
        {},
        {"client": client.pk},
        {"service": service.pk},
        {"currency": "KWD"},
        {"currency": "KRW", "client": client.pk},
        {"plan": 2**63 - 1},
        {"currency": "XXX"},
    ):
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        pages = followed(program, f"{ADDRESS}?limit=7&{query}".rstrip("&"))
        rows = expected(**filters)
        assert as_told([row for page in pages for row in page["result"]]) == rows
        assert {len(page["result"]) for page in pages[:-1]} <= {7}
        amounts = summed(**filters)
        for page in pages:
            # The total is that of the list, whatever page of it is looked at.
            assert {one["currency"]: Decimal(one["amount"]) for one in page["totals"]} == amounts
            assert page["subscriptions"] == len(rows)
            only = next(iter(amounts.values()), Decimal(0)) if len(amounts) < 2 else None
            assert (None if page["total_amount"] is None else Decimal(page["total_amount"])) == only


def test_what_is_not_known_is_null(program: Program, shop: Shop) -> None:
    free = Service.objects.create(name="Free")
    one = Subscription.objects.create(client=shop.client, service=free)
    run_sql("UPDATE billing_subscription SET price = NULL WHERE id = %s", [one.pk])
    found = program.get(f"{ADDRESS}?service={free.pk}")
    assert found["result"] == [
        {
            "id": one.pk,
            "plan_id": None,
            "client_name": "Kim",
            "email": "",
            "plan": None,
            "price": None,
            "currency": None,
        }
    ]
    assert (found["total_amount"], found["totals"], found["unpriced"]) == ("0", [], 1)


@pytest.mark.parametrize("price", ["0.0001", "999999999999999.9999", "0", "12.3400", "100000.0000"])
def test_a_price_is_exact(program: Program, shop: Shop, price: str) -> None:
    run_sql("UPDATE billing_subscription SET price = %s WHERE id = %s", [price, shop.subscriptions[0].pk])
    told = program.get(f"{ADDRESS}?limit=1")["result"][0]["price"]
    assert isinstance(told, str)
    assert Decimal(told) == Decimal(price)


def test_a_page_is_followed_while_rows_come_and_go(program: Program, shop: Shop) -> None:
    for _ in range(16):
        shop.new().save()
    before = set(Subscription.objects.values_list("pk", flat=True))
    seen: list[int] = []
    address: str | None = f"{ADDRESS}?limit=3"
    deleted: set[int] = set()
    while address:
        page = program.get(address)
        seen += [row["id"] for row in page["result"]]
        # One that was seen goes, one that was not goes, one comes, one of those seen is written.
        for pk in (seen[0], max(before - deleted)):
            deleted.add(pk)
            Subscription.objects.filter(pk=pk).delete()
        shop.new().save()
        Subscription.objects.filter(pk=seen[-1]).update(comment="x")
        address = page["next"]
        if Subscription.objects.count() > 40:
            break
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen)
    # Each row that was there all the time is seen, once.
    assert before - deleted <= set(seen)


@pytest.mark.parametrize(
    ("query", "field"),
    [("client=x", "client"), ("currency=usd", "currency"), ("after=-1", "after"), ("limit=0", "limit"),
     ("page=2", "page"), ("plan=1%00", "plan"), ("service=99999999999999999999", "service"), ("limit=1e3", "limit")],
)  # fmt: skip
def test_what_is_malformed_is_refused(program: Program, query: str, field: str) -> None:
    assert program.error(f"{ADDRESS}?{query}")[1] == field


def test_each_permission_is_needed(db: None) -> None:
    for missing in MAY:
        program = Program(user(missing, *(name for name in MAY if name != missing)))
        assert program.error(ADDRESS, 403)[2] == f"User {missing} may not read this; missing: {missing}."


# What it costs


@pytest.mark.parametrize("by", ["token", "session"])
def test_it_takes_four_queries_at_most(
    open_shop: Shop, cold: None, by: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_more(1_200)
    kim = user("kim", *MAY)
    browser = Browser(headers=Program(kim).headers if by == "token" else {})
    if by == "session":
        browser.force_login(kim)
    own = 2 if by == "session" else 1
    for limit in (1, 10, 1_000):
        for query in (f"?limit={limit}", f"?limit={limit}&client={open_shop.client.pk}"):
            cache.clear()
            # Who asks, the versions, and page and total at once.
            with django_assert_num_queries(own + 2):
                first = browser.get(f"{ADDRESS}{query}")
            # The total is kept; the page is read.
            with django_assert_num_queries(own + 2):
                second = browser.get(f"{ADDRESS}{query}")
            with django_assert_num_queries(own + 1):
                third = browser.get(f"{ADDRESS}{query}", headers={"if-none-match": first.headers["ETag"]})
            assert (first.status_code, second.status_code, third.status_code) == (200, 200, 304)
            assert first.content == second.content
            assert first.headers["ETag"] == second.headers["ETag"] == third.headers["ETag"]
            assert len(first.json()["result"]) == limit
            assert_sound(first)


def make_more(rows: int) -> None:
    run_sql(
        "INSERT INTO billing_subscription (client_id, service_id, plan_id) "
        "SELECT client_id, service_id, plan_id FROM billing_subscription, generate_series(1, %s) ORDER BY id LIMIT %s",
        [rows, rows],
    )


@pytest.mark.django_db
def test_a_page_is_found_by_the_primary_key() -> None:
    make_shop(20_000)
    run_sql("ANALYZE billing_subscription, billing_client, billing_service, billing_plan")
    middle = Subscription.objects.order_by("pk")[10_000].pk
    values = {**dict.fromkeys(totals.FILTERS), "after": middle, "rows": 101}
    statement = SQL("EXPLAIN (FORMAT JSON) ") + sql.load("billing/list_subscriptions.sql").compose()
    ((plan,),) = Session("default").execute(statement, values)
    nodes = list(walk(plan[0]["Plan"]))
    (scan,) = [node for node in nodes if node.get("Relation Name") == "billing_subscription"]
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "billing_subscription_pkey")
    assert str(middle) in scan["Index Cond"]
    assert "Filter" not in scan
    # Neither sorted nor read to the end.
    assert not any(node["Node Type"] == "Sort" and node["Plan Rows"] > 1_000 for node in nodes)
    assert nodes[0]["Node Type"] == "Limit"


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from walk(inner)


# What is kept


def test_the_total_is_that_of_the_command_and_kept(open_shop: Shop, cold: None) -> None:
    program = Program(user("kim", *MAY))
    found = program.get(ADDRESS)
    with CaptureQueriesContext(connection) as queries:
        kept = totals.total_of.answer()
    assert kept.hit
    assert len(queries) == 1
    assert json.loads(json.dumps(kept.value, default=str)) == {
        "total_amount": None,
        "totals": [{"currency": "KRW", "amount": "95000"}, {"currency": "USD", "amount": "190.00"}],
        "subscriptions": 4,
        "unpriced": 0,
    }
    assert {one["currency"]: Decimal(one["amount"]) for one in found["totals"]} == summed()


def test_a_total_is_never_old(open_shop: Shop, cold: None) -> None:
    program = Program(user("kim", *MAY))
    for change in (
        lambda: run_sql("UPDATE billing_subscription SET quantity = quantity + 1"),
        lambda: Subscription.objects.filter(pk=open_shop.subscriptions[0].pk).delete(),
        lambda: open_shop.new(quantity=3).save(),
        lambda: run_sql("UPDATE billing_currency SET minor_units = 0 WHERE code = 'USD'"),
    ):
        etag = program.ask(ADDRESS).headers["ETag"]
        change()
        answer = program.ask(ADDRESS, **{"if-none-match": etag})
        assert answer.status_code == 200
        assert {one["currency"]: Decimal(one["amount"]) for one in answer.json()["totals"]} == summed()


def test_what_is_invalidated_is_computed_anew(open_shop: Shop, cold: None) -> None:
    program = Program(user("kim", *MAY))
    program.get(ADDRESS)
    before = totals.total_of.answer().computed_at
    assert isinstance(before, datetime)
    totals.total_of.invalidate()
    program.get(ADDRESS)
    after = totals.total_of.answer()
    assert after.hit
    assert after.computed_at > before


def test_a_write_in_between_is_in_page_and_total_or_in_neither(
    open_shop: Shop, cold: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The total is kept under the versions of the snapshot in which it was read, not of those that were read before."""
    program = Program(user("kim", *MAY))
    before = summed()

    def late(*args: Any, **more: Any) -> Any:
        run_sql("UPDATE billing_subscription SET quantity = quantity + 1")
        return together(*args, **more)

    monkeypatch.setattr(api, "together", late)
    found = program.get(ADDRESS)
    monkeypatch.undo()
    assert {one["currency"]: Decimal(one["amount"]) for one in found["totals"]} == summed() != before
    kept = totals.total_of.answer()
    assert kept.hit
    assert {one["currency"]: one["amount"] for one in kept.value["totals"]} == summed()


def test_a_part_of_versions_is_what_would_have_been_read(open_shop: Shop) -> None:
    question = totals.total_of.question((), {"client": 1})
    whole = versions.read(api.SUBSCRIPTIONS.tables, question.tags)
    part = versions.read(question.tables, question.tags)
    assert whole.of(question.tables, question.tags) == part
    assert whole.key != part.key
    with pytest.raises(KeyError):
        part.of(api.SUBSCRIPTIONS.tables)


def test_without_redis_it_is_answered(open_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(user("kim", *MAY))
    monkeypatch.setattr("ops.cache.store.Store.get", lambda *args: None)
    monkeypatch.setattr("ops.cache.store.Store.put", lambda *args: None)
    assert program.get(ADDRESS)["subscriptions"] == 4


def test_a_sum_of_zero_is_text_where_there_are_no_decimals(open_shop: Shop, cold: None) -> None:
    run_sql("UPDATE billing_subscription SET price = 0")
    program = Program(user("kim", *MAY))
    for _ in range(2):
        assert {one["amount"] for one in program.get(ADDRESS)["totals"]} == {"0"}
    assert all(type(one["amount"]) is Decimal for one in totals.total_of()["totals"])


def test_what_takes_too_long_is_ended(open_shop: Shop, cold: None, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(user("kim", *MAY))
    monkeypatch.setattr(api, "TIMEOUT", 100)
    monkeypatch.setattr(api, "PAGE", SQL("SELECT 1 FROM pg_sleep(5)"))
    before = transaction.savepoint()
    assert program.error(ADDRESS, 503)[0] == "unavailable"
    transaction.savepoint_rollback(before)
