"""`raise_prices`: which services rise, to what, since when; once; and what it refuses."""

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing import raises
from billing.models import Currency, PriceChange, Service
from tests.billing.conftest import Shop, marks, settle

PAST = datetime(2024, 1, 1, tzinfo=UTC)
FUTURE = datetime(2090, 1, 1, tzinfo=UTC)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("raise_prices", *arguments, stdout=out)
    return out.getvalue()


def document(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return found


def test_all_services_rise_at_once_and_reprice_follows(shop: Shop) -> None:
    found = document("--percent", "7", "--no-input")
    del found["from"]
    assert found == {
        "percent": "7",
        "follow": "at_once",
        "looked_at": 2,
        "changes": 2,
        "written": 2,
        "left_out": {},
        "superseded": 0,
        "largest": [
            {"service": "Mail", "currency": "USD", "units": 2, "old": "100", "new": "107"},
            {"service": "Disk", "currency": "KRW", "units": 2, "old": "50000", "new": "53500"},
        ],
    }
    assert dict(Service.objects.values_list("name", "full_price")) == {"Mail": 107, "Disk": 53_500}
    assert marks() == {(shop.service.pk, None, None), (shop.other.pk, None, None)}
    settle()
    assert [shop.price(n) for n in range(4)] == [107, Decimal("96.30"), 53_500, 48_150]


def test_best_selling_is_by_units(shop: Shop) -> None:
    subscription = shop.subscriptions[2]
    subscription.quantity = 9
    subscription.save()
    assert [line["service"] for line in document("--percent", "7", "--best-selling", "1", "--dry-run")["largest"]] == [
        "Disk"
    ]


def test_a_raise_from_an_instant_to_come_waits_for_it(shop: Shop) -> None:
    out = run("--percent", "10", "--from", "2090-01-01T00:00Z", "--follow", "never", "--no-input")
    assert "2 of 2 services rise by 10 % from 2090-01-01 09:00:00 KST." in out
    assert "2 price changes written." in out
    assert dict(Service.objects.values_list("name", "full_price")) == {"Mail": 100, "Disk": 50_000}
    fields = ("service__name", "old_value", "new_value", "effective_at", "follow", "scope")
    assert set(PriceChange.objects.values_list(*fields)) == {
        ("Mail", 100, 110, FUTURE, "never", "all"),
        ("Disk", 50_000, 55_000, FUTURE, "never", "all"),
    }


def test_the_same_raise_is_made_once(shop: Shop) -> None:
    arguments = ("--percent", "10", "--from", "2024-01-01T00:00Z", "--no-input")
    assert document(*arguments)["written"] == 2
    again = document(*arguments)
    assert (again["changes"], again["written"]) == (0, 0)
    assert again["left_out"] == {"has a price change at that instant": 2}
    assert PriceChange.objects.count() == 2


def test_it_raises_what_is_in_force_at_the_instant(shop: Shop) -> None:
    PriceChange.objects.create(service=shop.service, new_value=200, effective_at=PAST)
    before = raises.plan(raises.Raise(Decimal(10), None, PAST - timedelta(days=1)))
    after = raises.plan(raises.Raise(Decimal(10), None, PAST + timedelta(days=1)))
    assert [(line.name, line.old_value, line.new_value, line.next_at) for line in before] == [
        ("Mail", 100, 110, PAST),
        ("Disk", 50_000, 55_000, None),
    ]
    assert [(line.name, line.old_value, line.new_value, line.next_at) for line in after] == [
        ("Mail", 200, 220, None),
        ("Disk", 50_000, 55_000, None),
    ]
    words = raises.shown(raises.Raise(Decimal(10), None, PAST - timedelta(days=1)), before, terminal=False)
    assert "1 of them have a later price change already, which takes over then." in words


def test_what_is_left_out_is_said(shop: Shop) -> None:
    Service.objects.create(name="No price", currency_id="USD")
    Service.objects.create(name="No currency", full_price=3)
    Service.objects.create(name="Tiny", full_price=Decimal("0.01"), currency_id="USD")
    Service.objects.create(name="Finer", full_price=Decimal("0.0010"), currency_id="USD")
    Currency.objects.create(code="KWD", minor_units=3)
    Service.objects.create(name="Half", full_price=Decimal("0.150"), currency_id="KWD")
    Service.objects.create(name="Free", full_price=0, currency_id="USD")
    found = document("--percent", "7", "--dry-run")
    assert found["left_out"] == {"has no currency": 1, "has no price": 1, "would not change, being rounded": 2}
    assert found["written"] == 0
    assert {line["service"]: line["new"] for line in found["largest"]} == {
        "Mail": "107",
        "Disk": "53500",
        "Finer": "0.0011",
        "Half": "0.161",
    }
    out = run("--percent", "7", "--dry-run")
    assert "1 left out: has no price." in out
    assert "Nothing was written." in out
    assert not PriceChange.objects.exists()


def test_a_plan_that_is_no_longer_true_is_refused(shop: Shop) -> None:
    wanted = raises.Raise(Decimal(7), None, FUTURE)
    lines = raises.plan(wanted)
    Service.objects.filter(pk=shop.service.pk).update(full_price=120)
    with pytest.raises(raises.Refused, match=r"^Services, prices or what sells best changed since the plan was made"):
        raises.apply(wanted, lines)
    assert not PriceChange.objects.filter(effective_at=FUTURE).exists()


def test_a_no_writes_nothing() -> None:
    with pytest.raises(raises.Declined, match=r"^Declined: no price change was written\.$"):
        raises.agreed(False)


def test_without_a_terminal_it_does_not_guess(shop: Shop) -> None:
    with pytest.raises(CommandError, match="There is no terminal to ask at") as caught:
        run("--percent", "7")
    assert caught.value.returncode == 2
    assert not PriceChange.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "the following arguments are required: --percent"),
        (("--percent", "-7"), "'-7' is not a percentage of at least 0"),
        (("--percent", "lots"), "'lots' is not a percentage"),
        (("--percent", "7", "--best-selling", "0"), "'0' is not a whole number of at least 1"),
        (("--percent", "7", "--from", "soon"), "'soon' is not an instant"),
        (("--percent", "7", "--follow", "later"), "invalid choice: 'later'"),
    ],
)
def test_bad_options_are_one_sentence(db: None, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(*arguments, "--no-input")
    assert words in str(caught.value)


def test_a_price_too_large_is_one_sentence(shop: Shop) -> None:
    Service.objects.filter(pk=shop.service.pk).update(full_price=900_000_000_000_000)
    before = PriceChange.objects.count()
    with pytest.raises(CommandError, match="a number does not fit its column") as caught:
        run("--percent", "70", "--no-input")
    assert caught.value.returncode == 1
    assert PriceChange.objects.count() == before
