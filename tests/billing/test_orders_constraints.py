"""What an order, a partner or an upload may not be, by whichever road it comes: the database refuses it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction
from django.db.models import Model
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2.errors import CheckViolation

from billing.models import Client, Currency, Order, Partner, Upload
from tests.billing.conftest import copy_in, run_sql

pytestmark = pytest.mark.django_db

NAN = Decimal("NaN")
DAY = date(2026, 7, 1)


@pytest.fixture
def partner() -> Partner:
    for code, digits in (("EUR", 2), ("KRW", 0), ("KWD", 3)):
        Currency.objects.create(code=code, minor_units=digits)
    return Partner.objects.create(client=Client.objects.create(name="Kim"), currency_id="KRW")


def order(partner: Partner, **values: Any) -> Order:
    given: dict[str, Any] = {
        "partner": partner,
        "type": "hotel",
        "reference": "H-1",
        "status": "booked",
        "sold_at": datetime(2026, 6, 1, tzinfo=UTC),
        "sell_amount": Decimal("99.5"),
        "sell_currency_id": "KWD",
        "sell_rate": Decimal("0.333"),
        "pending_on": DAY,
        "due_on": DAY,
    }
    return Order(**{**given, **values})


def refused(one: Model, name: str, said: str) -> None:
    """Assert that both the server and the model's validation refuse a row, the latter in these words."""
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        one.save(force_insert=True)
    with pytest.raises(ValidationError) as found:
        one.full_clean()
    assert said in str(found.value)


NUMBER = "An amount is a number and never negative."
RATE = "A rate is a number above zero."


@pytest.mark.parametrize(
    ("values", "name", "said"),
    [
        ({"sell_amount": -1}, "billing_order_sell_amount", NUMBER),
        ({"penalty_amount": Decimal("-0.0001")}, "billing_order_penalty_amount", NUMBER),
        ({"refund_amount": -1, "refund_currency_id": "KRW"}, "billing_order_refund_amount", NUMBER),
        ({"sell_rate": 0}, "billing_order_sell_rate", RATE),
        ({"sell_rate": -1}, "billing_order_sell_rate", RATE),
        ({"refund_rate": 0}, "billing_order_refund_rate", RATE),
        ({"refund_amount": 1}, "billing_order_refund_currency", "A refund has a currency."),
        ({"due_on": DAY - timedelta(1)}, "billing_order_due_on", "An order is due on the day from which it is to be"),
    ],
)
def test_an_order_that_cannot_be_is_refused(partner: Partner, values: dict[str, Any], name: str, said: str) -> None:
    refused(order(partner, **values), name, said)


@pytest.mark.parametrize("column", ["sell_amount", "penalty_amount", "refund_amount", "sell_rate", "refund_rate"])
def test_no_number_of_an_order_is_nan_by_whichever_road(partner: Partner, column: str) -> None:
    one = order(partner, refund_currency_id="KRW")
    one.save()
    with pytest.raises(IntegrityError, match=f"billing_order_{column}"), transaction.atomic():
        run_sql(f"UPDATE billing_order SET {column} = 'NaN'")
    with pytest.raises(ValidationError, match="must be a decimal number"), transaction.atomic():
        Order.objects.update(**{column: NAN})
    with pytest.raises(ValidationError):
        order(partner, reference="H-2", **{column: NAN}).full_clean()
    values = {"partner_id": partner.pk, "type": "hotel", "reference": "H-3", "status": "booked", "sell_amount": 1}
    values |= {"sold_at": "2026-06-01", "sell_currency_id": "KWD", "pending_on": DAY, "due_on": DAY, column: "NaN"}
    with pytest.raises(CheckViolation, match=f"billing_order_{column}"), transaction.atomic():
        copy_in("billing_order", ", ".join(values), ",".join(map(str, values.values())))
    one.refresh_from_db()
    assert one.sell_amount == Decimal("99.5")


def test_an_order_is_known_by_its_reference_among_those_of_its_type(partner: Partner) -> None:
    order(partner).save()
    order(partner, type="car", status="reserved").save()
    refused(order(partner), "billing_order_reference", "There is an order of this type and reference already.")
    assert Order.objects.count() == 2


def test_what_the_model_says_nothing_of_has_its_value_from_the_database(partner: Partner) -> None:
    copy_in(
        "billing_order",
        "partner_id, type, reference, status, sold_at, sell_amount, sell_currency_id, pending_on, due_on",
        f"{partner.pk},upsell,U-1,ordered,2026-06-01,12,EUR,2026-07-01,2026-07-31",
    )
    one = Order.objects.get()
    assert (one.penalty_amount, one.refund_amount, one.sell_rate, one.refund_currency) == (0, 0, None, None)


@settings(max_examples=30, deadline=None)
@given(
    amount=st.decimals(0, Decimal(10) ** 15 - 1, places=4),
    rate=st.decimals(Decimal("0.00000001"), Decimal(10) ** 12 - 1, places=8),
)
def test_what_fits_its_column_is_kept_to_the_last_digit(amount: Decimal, rate: Decimal) -> None:
    with transaction.atomic():
        euro = Currency.objects.create(code="EUR", minor_units=2)
        kim = Partner.objects.create(client=Client.objects.create(name="Kim"), currency=euro)
        one = order(kim, sell_currency_id="EUR", sell_amount=amount, sell_rate=rate)
        one.full_clean()
        one.save()
        one.refresh_from_db()
        assert (one.sell_amount, one.sell_rate) == (amount, rate)
        transaction.set_rollback(True)


def test_a_partner_is_one_of_a_client_and_has_a_limit_with_its_currency(partner: Partner) -> None:
    kim, lee = partner.client, Client.objects.create(name="Lee")
    with pytest.raises(IntegrityError, match="client_id"), transaction.atomic():
        Partner.objects.create(client=kim, currency_id="KRW")
    refused(
        Partner(client=lee, currency_id="KRW", credit_limit=-1, credit_currency_id="KRW"),
        "billing_partner_credit_limit",
        "A credit limit is a number and never negative.",
    )
    refused(
        Partner(client=lee, currency_id="KRW", credit_limit=1),
        "billing_partner_credit_currency",
        "A credit limit has a currency.",
    )
    with pytest.raises(IntegrityError, match="billing_partner_credit_limit"), transaction.atomic():
        run_sql("UPDATE billing_partner SET credit_limit = 'NaN', credit_currency_id = 'KRW'")
    assert Partner.objects.get().credit_limit is None


def test_partners_without_a_reference_are_as_many_as_one_likes(partner: Partner) -> None:
    lee = Partner.objects.create(client=Client.objects.create(name="Lee"), currency_id="KRW")
    assert partner.reference is lee.reference is None
    Partner.objects.filter(pk=lee.pk).update(reference="agent 9")
    with pytest.raises(IntegrityError, match="reference"), transaction.atomic():
        Partner.objects.filter(pk=partner.pk).update(reference="agent 9")


def test_a_partners_zone_is_one_that_the_server_knows(partner: Partner) -> None:
    partner.zone = "Asia/Soul"
    with pytest.raises(ValidationError, match="'Asia/Soul' is no time zone: write a name such as Asia/Seoul"):
        partner.full_clean()
    partner.zone = "CET"
    with pytest.raises(ValidationError, match="'CET' is without summer time to PostgreSQL: write a name such as"):
        partner.full_clean()
    # The server says so in its own words: its check asks for the time there.
    with pytest.raises(DataError, match="Asia/Soul"), transaction.atomic():
        run_sql("UPDATE billing_partner SET zone = 'Asia/Soul'")
    partner.refresh_from_db()
    assert partner.zone == "Asia/Seoul"


def test_an_upload_has_a_size(partner: Partner) -> None:
    refused(
        Upload(name="a.csv", size=-1, uploaded_at=datetime(2026, 7, 1, tzinfo=UTC)),
        "billing_upload_size",
        "A size is never negative.",
    )
    assert not Upload.objects.exists()


def test_what_an_order_refers_to_stays(partner: Partner) -> None:
    order(partner, refund_currency_id="EUR").save()
    for statement in (
        "DELETE FROM billing_partner",
        "DELETE FROM billing_client",
        "DELETE FROM billing_currency WHERE code = 'KWD'",
        "DELETE FROM billing_currency WHERE code = 'EUR'",
    ):
        # Foreign keys are looked at when the transaction ends, unless it is asked for.
        with pytest.raises(IntegrityError), transaction.atomic():
            run_sql(f"SET CONSTRAINTS ALL IMMEDIATE; {statement}")
    assert Order.objects.count() == 1
