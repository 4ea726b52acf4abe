"""The registry of order types: one entry makes a type, a broken one is told and is not known."""

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from hypothesis import given
from hypothesis import strategies as st

from billing import order_types, receivables
from billing.models import Client, Currency, Order, Partner
from billing.order_types import CANCELLED, NOTHING, SALE, Counts, OrderType
from tests.ops.shop import ROOT, environment


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that a test may add to."""
    monkeypatch.setattr(order_types, "_types", dict(order_types._types))
    monkeypatch.setattr(order_types, "_broken", [])


def order(**values: Any) -> Order:
    """Return an unsaved order of a partner in euros."""
    euro, _ = Currency.objects.get_or_create(code="EUR", defaults={"minor_units": 2})
    client = Client.objects.create(name="Kim")
    partner = Partner.objects.create(client=client, currency=euro)
    given = {
        "partner": partner,
        "type": "hotel",
        "reference": "H-1",
        "status": "booked",
        "sold_at": datetime(2026, 7, 1, tzinfo=UTC),
        "sell_amount": Decimal(100),
        "sell_currency": euro,
        "sell_rate": Decimal(1),
        "pending_on": date(2026, 7, 2),
        "due_on": date(2026, 8, 1),
    }
    return Order(**{**given, **values})


def check() -> str:
    out = StringIO()
    call_command("check", stdout=out, stderr=out)
    return out.getvalue()


def test_hotel_car_and_upsell_are_there_and_count_as_documented() -> None:
    assert {one.name: dict(one.statuses) for one in order_types.types()} == {
        "car": {"reserved": SALE, "picked_up": SALE, "completed": SALE, "cancelled": CANCELLED},
        "hotel": {
            "booked": SALE,
            "completed": SALE,
            "no_show": SALE,
            "cancelled": CANCELLED,
            "on_request": NOTHING,
        },
        "upsell": {"ordered": SALE, "completed": SALE, "cancelled": CANCELLED},
    }
    assert (order_types.counts("hotel", "no_show").owes, SALE.refunds) == ("sell", False)
    assert (CANCELLED.owes, CANCELLED.refunds, NOTHING.owes, NOTHING.refunds) == ("penalty", True, "", False)
    assert order_types.broken() == ()


def test_a_new_type_is_one_entry() -> None:
    order_types.register(OrderType("boat", "Boat", {"chartered": SALE, "sunk": CANCELLED}))
    assert [one.name for one in order_types.types()] == ["boat", "car", "hotel", "upsell"]
    assert order_types.find("boat").label == "Boat"
    assert order_types.counts("boat", "sunk").refunds
    assert "no issues" in check()


@pytest.mark.django_db
def test_an_order_of_a_new_type_is_valid_without_another_change() -> None:
    made = order(type="boat", status="chartered", reference="B-1")
    with pytest.raises(ValidationError):
        made.full_clean()
    order_types.register(OrderType("boat", "Boat", {"chartered": SALE}))
    made.full_clean()
    made.save()
    assert Order.objects.get(type="boat").status == "chartered"


@pytest.mark.django_db
def test_receivables_count_a_new_type_when_it_is_registered_and_name_it_before() -> None:
    """No statement, form or table is changed in between."""
    one = order(type="boat", status="chartered", reference="B-1", paid_on=None)
    one.save()
    sunk = {"status": "sunk", "reference": "B-2", "refund_amount": 40, "refund_currency_id": "EUR", "refund_rate": 1}
    Order.objects.create(**{**fields(one), **sunk})
    as_of = datetime(2026, 8, 3, tzinfo=UTC)
    (account,) = receivables.compute(as_of=as_of).partners
    assert (account.unknown, {figure.amount for figure in account.figures.values()}) == (2, {0})
    assert [(odd.type, odd.reference) for odd in account.odd] == [("boat", "B-1"), ("boat", "B-2")]
    order_types.register(OrderType("boat", "Boat", {"chartered": SALE, "sunk": Counts(refunds=True)}))
    (account,) = receivables.compute(as_of=as_of).partners
    assert (account.unknown, account.odd) == (0, ())
    counted = {name: figure.amount for name, figure in account.figures.items() if figure.amount}
    assert counted == {"1-30": 100, "refunds": 40}


def fields(one: Order) -> dict[str, Any]:
    """Return the values of an order, without its key."""
    return {field.attname: getattr(one, field.attname) for field in Order._meta.fields if not field.primary_key}


def test_the_same_entry_twice_is_one() -> None:
    assert order_types.register(order_types.HOTEL) is order_types.HOTEL
    assert order_types.broken() == ()
    assert len(order_types.types()) == 3


def test_what_is_registered_cannot_be_changed_afterwards() -> None:
    statuses = {"chartered": SALE}
    order_types.register(OrderType("boat", "Boat", statuses))
    statuses["sunk"] = SALE
    assert list(order_types.find("boat").statuses) == ["chartered"]
    with pytest.raises(TypeError):
        order_types.find("boat").statuses["sunk"] = SALE  # type: ignore[index]  # which is what is tested


RENTAL = """
from billing.order_types import CANCELLED, SALE, OrderType, register

register(OrderType("boat", "Boat", {"chartered": SALE, "cancelled": CANCELLED}))
"""


def manage(directory: Path, entry: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a project that has an app more, whose module `order_types` is `entry`."""
    (directory / "rental").mkdir()
    (directory / "rental" / "__init__.py").touch()
    (directory / "rental" / "order_types.py").write_text(entry)
    (directory / "rental_settings.py").write_text(
        'from config.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, "rental"]\n'
    )
    return subprocess.run(
        [sys.executable, "manage.py", *words, "--settings", "rental_settings"],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(directory)),
        capture_output=True,
        text=True,
    )


@pytest.mark.django_db
def test_an_entry_in_the_module_order_types_of_any_app_is_found(tmp_path: Path) -> None:
    said = "from billing import order_types; print([one.name for one in order_types.types()])"
    done = manage(tmp_path, RENTAL, "shell", "--verbosity", "0", "--command", said)
    assert (done.returncode, done.stdout) == (0, "['boat', 'car', 'hotel', 'upsell']\n"), done.stderr


@pytest.mark.django_db
def test_billing_e002_stops_every_command_where_an_entry_is_broken(tmp_path: Path) -> None:
    done = manage(tmp_path, RENTAL.replace("chartered", "Chartered!"), "check")
    assert done.returncode == 1
    assert "(billing.E002) Order type 'boat' has a status 'Chartered!': a name is small letters" in done.stderr
    assert "HINT: Correct the entry in the module order_types of its app" in done.stderr


BROKEN = {
    "name": (OrderType("Boat", "Boat", {"hired": SALE}), "An order type is called 'Boat': a name is small letters, "),
    "long": (OrderType("b" * 31, "Boat", {"hired": SALE}), f"An order type is called '{'b' * 31}': a name is small"),
    "label": (OrderType("boat", " ", {"hired": SALE}), "Order type 'boat' has no label: say what a person calls it."),
    "empty": (OrderType("boat", "Boat", {}), "Order type 'boat' has no status, so no order could be one."),
    "status": (OrderType("boat", "Boat", {"": SALE}), "Order type 'boat' has a status '': a name is small letters, "),
    "owes": (
        OrderType("boat", "Boat", {"hired": Counts("sale")}),
        "Order type 'boat', status 'hired', owes 'sale': it is one of '', 'sell', 'penalty'.",
    ),
    "twice": (
        OrderType("hotel", "Motel", {"booked": SALE}),
        "Two order types are called 'hotel': rename the one that says 'Motel'.",
    ),
}


@pytest.mark.parametrize(("entry", "said"), BROKEN.values(), ids=BROKEN)
def test_billing_e002_tells_a_broken_entry_which_is_not_known(entry: OrderType, said: str) -> None:
    before = order_types.types()
    order_types.register(entry)
    assert order_types.types() == before
    (wrong,) = order_types.broken()
    assert wrong.startswith(said)
    with pytest.raises(SystemCheckError) as found:
        check()
    assert f"(billing.E002) {wrong}" in str(found.value)


def test_billing_e002_is_silent_where_every_entry_is_whole() -> None:
    assert "no issues" in check()


def test_all_that_is_wrong_with_an_entry_is_told_at_once() -> None:
    order_types.register(OrderType("BOAT", "", {"Hired": Counts("rent"), "sunk": NOTHING}))
    assert len(order_types.broken()) == 4


def test_what_is_not_known_is_an_error_that_says_what_is() -> None:
    with pytest.raises(order_types.UnknownType, match=r"^There is no order type 'boat'; there is: car, hotel, upsell"):
        order_types.find("boat")
    with pytest.raises(order_types.UnknownStatus, match=r"^An order of type car has no status 'booked'; it has: res"):
        order_types.counts("car", "booked")


@pytest.mark.django_db
def test_an_order_of_an_unknown_type_or_status_is_not_valid() -> None:
    one = order()
    one.full_clean()
    for values, field, said in (
        ({"type": "boat"}, "type", "There is no order type 'boat'; there is: car, hotel, upsell."),
        (
            {"status": "picked_up"},
            "status",
            "An order of type hotel has no status 'picked_up'; it has: " + ", ".join(order_types.HOTEL.statuses) + ".",
        ),
        ({"type": "", "status": ""}, "type", "This field cannot be blank."),
    ):
        for name, value in {"type": "hotel", "status": "booked", **values}.items():
            setattr(one, name, value)
        with pytest.raises(ValidationError) as found:
            one.full_clean()
        assert said in found.value.message_dict[field]


@pytest.mark.django_db
@given(st.sampled_from([(one.name, status) for one in order_types.types() for status in one.statuses]))
def test_every_type_and_status_of_the_registry_is_valid(pair: tuple[str, str]) -> None:
    Order(type=pair[0], status=pair[1]).clean()
    assert order_types.counts(*pair).owes in order_types.OWES
