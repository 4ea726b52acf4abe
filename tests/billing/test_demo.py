"""Demo data is the same everywhere and what it claims to be; the walk over it can be walked again and again."""

import hashlib
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Q

from billing import demo
from billing.models import (
    Catalogue,
    Client,
    Currency,
    Plan,
    PriceChange,
    Promotion,
    QuantityTier,
    Service,
    Subscription,
)
from ops.engine.plan import Refused
from ops.models import Hold, Run
from tests.billing.retail import differing

SMALL = demo.Sizes(300, 60, 6, 48, 90, 5_000, partners=60, orders=600, uploads=400)
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def catalogue(db: None) -> None:
    Catalogue.objects.get_or_create(id=1)


def walk(*arguments: str) -> str:
    out = io.StringIO()
    call_command("demo", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def flat(text: str) -> str:
    """Return text on one line: it is filled to the width of a terminal."""
    return " ".join(text.split())


def fingerprint() -> str:
    """Return a digest of all that was made, keys left out, since sequences go on."""
    fields = (
        "client__name", "client__email", "service__name", "service__full_price", "service__currency", "plan__name",
        "quantity", "billing_period", "started_at", "renews_at", "comment", "pinned_until",
    )  # fmt: skip
    rows = list(Subscription.objects.order_by("id").values_list(*fields))
    fields = ("name", "service__name", "plan__name", "percent", "amount", "starts_at", "ends_at", "priority")
    rows += list(Promotion.objects.order_by("id").values_list(*fields))
    rows += list(QuantityTier.objects.order_by("id").values_list("service__name", "minimum_quantity", "percent"))
    rows += list(Plan.objects.order_by("id").values_list("name", "plan_type", "discount_percent"))
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_the_data_is_the_same_on_every_machine() -> None:
    demo.make(SMALL, AS_OF)
    assert fingerprint() == "abd088526b2f0dc917eb6057a5a0b7f0aea475ff75327caabf7500a909a550da"


@pytest.mark.smoke
def test_the_data_is_what_was_asked_for() -> None:
    made = demo.make(SMALL, AS_OF)
    assert made == {
        "currencies": 8,
        "clients": 300,
        "services": 60,
        "plans": 6,
        "promotions": 48,
        "tiers": 90,
        "subscriptions": 5_000,
        "rates": 1_995,
        "partners": 60,
        "orders": 600,
        "uploads": 400,
    }
    assert dict(Currency.objects.values_list("code", "minor_units")) == {
        "BHD": 3, "CHF": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KRW": 0, "KWD": 3, "USD": 2,
    }  # fmt: skip
    assert set(Service.objects.values_list("currency", flat=True)) == set(
        Currency.objects.values_list("code", flat=True)
    )
    for service in Service.objects.select_related("currency"):
        assert service.full_price is not None
        assert service.currency is not None
        assert service.full_price == round(service.full_price, service.currency.minor_units)
    assert Client.objects.values("name").distinct().count() == 300
    assert set(Plan.objects.values_list("plan_type", flat=True)) == {"full", "student", "discount"}
    assert Subscription.objects.values("service").distinct().count() == 60
    assert Subscription.objects.values("plan").distinct().count() == 6
    assert Subscription.objects.values("client").distinct().count() == 300
    assert set(Subscription.objects.values_list("billing_period", flat=True)) == {1, 3, 12}
    renewals = Subscription.objects.values_list("renews_at", flat=True)
    assert AS_OF <= min(renewals) < max(renewals) <= AS_OF + timedelta(days=366)
    assert len(set(renewals)) > 4_000
    assert Subscription.objects.filter(pinned_until__gt=AS_OF).count() == 5
    assert Subscription.objects.filter(pinned_until__lte=AS_OF).count() == 3
    assert not Subscription.objects.filter(price=None).exists()


def test_promotions_are_of_every_kind_and_time() -> None:
    demo.make(SMALL, AS_OF)
    ended = Q(ends_at__lte=AS_OF)
    coming = Q(starts_at__gt=AS_OF)
    kinds = Promotion.objects.aggregate(
        by_service=Count("id", Q(service__isnull=False, plan=None)),
        by_plan=Count("id", Q(service=None, plan__isnull=False)),
        pair=Count("id", Q(service__isnull=False, plan__isnull=False)),
        by_percent=Count("id", Q(percent__isnull=False)),
        by_amount=Count("id", Q(amount__isnull=False)),
        ended=Count("id", ended),
        in_force=Count("id", ~ended & ~coming),
        for_ever=Count("id", Q(ends_at=None)),
        coming=Count("id", coming),
        plan_amounts=Count("id", Q(service=None, amount__isnull=False)),
    )
    assert kinds == {
        "by_service": 16,
        "by_plan": 16,
        "pair": 16,
        "by_percent": 36,
        "by_amount": 12,
        "ended": 12,
        "in_force": 24,
        "for_ever": 12,
        "coming": 12,
        "plan_amounts": 0,
    }


def test_sizes_beyond_the_names_get_numbers() -> None:
    sizes = demo.Sizes(clients=8_100, services=450, plans=20, promotions=90, tiers=1_000, subscriptions=1_000)
    demo.make(sizes, AS_OF)
    assert Client.objects.values("name").distinct().count() == 8_100
    assert Service.objects.filter(name__regex=r" [23]$").count() == 250
    assert Plan.objects.filter(name__startswith="Contract ").count() == 14
    assert QuantityTier.objects.values("service").annotate(n=Count("id")).filter(n__gte=2).count() == 450


def test_no_data_is_made_beside_other_data() -> None:
    demo.make(SMALL, AS_OF)
    with pytest.raises(Refused, match=r"^Making demo data in database 'default': it holds 300 clients, 60 serv"):
        demo.make(SMALL, AS_OF)
    assert Subscription.objects.count() == 5_000


def test_the_demo_refuses_a_database_in_use() -> None:
    Client.objects.create(name="Kim")
    with pytest.raises(CommandError, match=r"^Preparing the demo: the database holds 1 clients and 0 services "):
        walk()
    Client.objects.all().delete()
    Service.objects.create(name="Mail")
    with pytest.raises(CommandError, match=r"^Preparing the demo: .* 0 clients and 1 services that are not "):
        walk()
    assert (Client.objects.count(), Service.objects.count(), Run.objects.count()) == (0, 1, 0)


@pytest.mark.smoke
def test_the_walk_can_be_walked_again_and_again() -> None:
    first = walk("--subscriptions", "4000")
    made = (
        r"Made 2,000 clients, 200 services, 6 plans, 120 promotions, 300 tiers, 4,000 subscriptions, [12],\d{3} rates, "
    )
    assert re.search(made + "200 partners, 10,000 orders, 10,000 uploads in ", flat(first))
    assert "see 'manage.py receivables' and 'manage.py stats uploads'" in flat(first)
    commands = re.findall(r"^\$ manage\.py (.*)$", first, re.MULTILINE)
    applied, reverted = Run.objects.filter(verb="apply").get(), Run.objects.filter(verb="revert").get()
    assert [re.sub(r"Subscription \d+", "Subscription ID", command) for command in commands] == [
        "raise_prices --percent 7 --best-selling 20 --no-input",
        "reprice --dry-run",
        "reprice --no-input --verify",
        f"runs show {applied.pk}",
        f"runs revert {applied.pk} --no-input",
        "runs history billing.Subscription ID",
        "reprice --check",
    ]
    assert applied.changed == reverted.changed == Hold.objects.count() > 300
    assert f"0 would change, {applied.changed:,} held, 0 refused." in first
    prices = dict(Subscription.objects.values_list("id", "price"))
    second = walk()
    assert "Using the demo data made before: 2,000 clients, 200 services, " in flat(second)
    assert f"$ manage.py runs lift {reverted.pk}" in second
    again = Run.objects.filter(verb="apply").latest("id")
    assert again.changed > 300
    # Each walk takes back exactly what it wrote.
    assert dict(Subscription.objects.values_list("id", "price")) == prices
    assert PriceChange.objects.count() == 40


def test_without_a_price_to_raise_the_walk_still_ends() -> None:
    demo.make(SMALL, AS_OF)
    Subscription.objects.update(pinned_until=datetime(2090, 1, 1, tzinfo=UTC))
    out = walk()
    assert "0 would change" in out
    assert "runs revert" not in out
    assert differing() == 0
