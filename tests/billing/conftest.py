"""A small shop to change things in, and what the tests of marks ask of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client as Browser

from billing.models import (
    Catalogue,
    Client,
    Currency,
    Mark,
    Plan,
    PriceChange,
    Promotion,
    QuantityTier,
    Service,
    Subscription,
)

LONG_AGO = datetime(2020, 1, 31, 1, tzinfo=UTC)


@dataclass
class Shop:
    """Two services (100 USD and 50,000 KRW) on two plans (0 % and 10 %), each pair subscribed to once."""

    client: Client
    service: Service
    other: Service
    plan: Plan
    student: Plan
    subscriptions: list[Subscription]

    def price(self, index: int = 0) -> Decimal | None:
        """Return the stored price of a subscription: 0 and 1 are of `service`, 2 and 3 of `other`; odd are students."""
        return Subscription.objects.values_list("price", flat=True).get(pk=self.subscriptions[index].pk)

    def new(self, **values: Any) -> Subscription:
        """Return an unsaved subscription to `service` on `plan`."""
        return Subscription(**{"client": self.client, "service": self.service, "plan": self.plan, **values})


def build_shop() -> Shop:
    """Fill empty tables; nothing is marked, and instants count from now on."""
    Catalogue.objects.update_or_create(
        id=1, defaults={"policy": "best_of", "marked_until": datetime.now(UTC) - timedelta(seconds=5)}
    )
    won = Currency.objects.create(code="KRW", minor_units=0)
    dollar = Currency.objects.create(code="USD", minor_units=2)
    client = Client.objects.create(name="Kim")
    service = Service.objects.create(name="Mail", full_price=100, currency=dollar)
    other = Service.objects.create(name="Disk", full_price=50_000, currency=won)
    plan = Plan.objects.create(name="Full")
    student = Plan.objects.create(name="Student", plan_type="student", discount_percent=10)
    QuantityTier.objects.create(service=service, minimum_quantity=10, percent=20)
    pairs = [(s, p) for s in (service, other) for p in (plan, student)]
    subscriptions = [
        Subscription.objects.create(client=client, service=s, plan=p, started_at=LONG_AGO, renews_at=LONG_AGO)
        for s, p in pairs
    ]
    Mark.objects.all().delete()
    return Shop(client, service, other, plan, student, subscriptions)


@pytest.fixture
def shop(db: None) -> Shop:
    """A shop in the test's transaction."""
    return build_shop()


@pytest.fixture
def open_shop(transactional_db: None) -> Shop:
    """A shop that is committed, so that other connections see it."""
    return build_shop()


@pytest.fixture
def other_connection() -> Iterator[BaseDatabaseWrapper]:
    """A second connection to the same database, in autocommit."""
    other = connections["default"].copy()
    yield other
    other.close()


def run_sql(statement: str, params: Any = None, using: BaseDatabaseWrapper | None = None) -> None:
    """Execute SQL as any other program would."""
    with (using or connections["default"]).cursor() as cursor:
        cursor.execute(statement, params)


def copy_in(table: str, columns: str, *lines: str) -> None:
    """Load lines of CSV by COPY."""
    with connections["default"].cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)", StringIO("\n".join(lines) + "\n"))


def marks() -> set[tuple[int | None, int | None, tuple[int, ...] | None]]:
    """Return what is marked and unclaimed: service, plan, subscriptions."""
    rows = Mark.objects.filter(run_id=None).values_list("service_id", "plan_id", "subscription_ids")
    return {(service, plan, None if ids is None else tuple(sorted(ids))) for service, plan, ids in rows}


def reprice(*options: str) -> dict[str, Any]:
    """Run the command and return the document it prints with --json."""
    out = StringIO()
    call_command("reprice", *options, "--json", stdout=out, stderr=StringIO())
    document: dict[str, Any] = json.loads(out.getvalue())
    return document


def settle() -> None:
    """Reprice what is marked, then prove by a full sweep that nothing differs (--check raises otherwise)."""
    reprice("--dirty", "--no-input")
    assert marks() == set()
    found = reprice("--check")
    assert (found["looked_at"], found["changes"], found["refused"]) == (Subscription.objects.count(), 0, [])


@pytest.fixture
def browser(db: None) -> Browser:
    """A browser in which a superuser is logged in."""
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("admin", password="x"))
    return browser


@pytest.fixture
def full(shop: Shop, browser: Browser) -> Shop:
    """A shop with a row of every model."""
    # To the second, as the admin's forms have it.
    now = datetime.now(UTC).replace(microsecond=0)
    Promotion.objects.create(name="Spring", service=shop.service, percent=5, starts_at=now)
    PriceChange.objects.create(service=shop.service, new_value=110, effective_at=now + timedelta(days=30))
    Mark.objects.create(reason="test", subscription_ids=list(range(1, 101)))
    return shop
