"""What partners owe, by examples that are written out: every boundary, types, rates, rounding, what is missing."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from billing import order_types, receivables
from billing.order_types import NOTHING, SALE, OrderType
from billing.receivables_account import Account, Figure, Odd
from ops.engine.parameters import BadParameters
from tests.billing.debts import Debts, money, order, partner
from tests.billing.debts_asked import AS_OF, DAY, ON_SALE, asked, filled, one

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("days", "figure"),
    [
        (2, "later"),
        (1, "tomorrow"),
        (0, "today"),
        (-1, "1-30"),
        (-30, "1-30"),
        (-31, "31-60"),
        (-60, "31-60"),
        (-61, "61-90"),
        (-90, "61-90"),
        (-91, "91+"),
        (-10_000, "91+"),
    ],
)
def test_each_day_falls_into_one_figure(days: int, figure: str) -> None:
    assert filled(one(order(due_on=DAY + timedelta(days=days)))) == {figure: ("100.00", 1, 0)}


@pytest.mark.parametrize(("pending", "figure"), [(DAY, "today"), (DAY + timedelta(days=1), "pending")])
def test_what_is_pending_is_not_to_be_paid_yet(pending: date, figure: str) -> None:
    found = one(order(pending_on=pending, due_on=max(pending, DAY)))
    assert filled(found) == {figure: ("100.00", 1, 0)}
    assert found.used.amount == 100


def test_ages_can_be_chosen() -> None:
    orders = [order(due_on=DAY - timedelta(days=days)) for days in (1, 7, 8, 14, 15)]
    assert filled(one(*orders, ages=(7, 14))) == {
        "1-7": ("200.00", 2, 0),
        "8-14": ("200.00", 2, 0),
        "15+": ("100.00", 1, 0),
    }


def test_ages_come_from_the_settings(settings: Any) -> None:
    settings.SETWISE_RECEIVABLES_AGES = (10,)
    assert filled(one(order(due_on=DAY - timedelta(days=11)))) == {"11+": ("100.00", 1, 0)}


@pytest.mark.parametrize("ages", [(), (0,), (-1, 5), (30, 30), (60, 30), tuple(range(1, 9)), (2**31,)])
def test_ages_that_are_none_are_refused(ages: tuple[int, ...]) -> None:
    with pytest.raises(BadParameters, match="give 1 to 7 rising numbers of days"):
        receivables.compute(ages=ages)


def test_a_day_is_the_partners_own() -> None:
    debts = Debts(
        [partner(), partner(zone="America/New_York"), partner(zone="Pacific/Kiritimati")],
        [order(partner=i, due_on=date(2026, 2, 28)) for i in range(3)],
    )
    found = asked(debts).partners
    assert [str(account.today) for account in found] == ["2026-03-01", "2026-02-28", "2026-03-01"]
    assert [filled(account) for account in found] == [
        {"1-30": ("100.00", 1, 0)},
        {"today": ("100.00", 1, 0)},
        {"1-30": ("100.00", 1, 0)},
    ]


@pytest.mark.parametrize(
    ("paid_on", "owed"), [(None, 1), (DAY + timedelta(days=1), 1), (DAY, 0), (date(2026, 2, 3), 0)]
)
def test_what_is_paid_by_the_day_is_not_owed(paid_on: date | None, owed: int) -> None:
    assert one(order(paid_on=paid_on)).used.orders == owed


@pytest.mark.parametrize(("refunded_on", "due"), [(None, 1), (DAY + timedelta(days=1), 1), (DAY, 0)])
def test_what_is_refunded_by_the_day_is_not_due(refunded_on: date | None, due: int) -> None:
    cancelled = order(
        status="cancelled",
        refund_amount=money("300.5"),
        refund_currency_id="USD",
        refunded_on=refunded_on,
        paid_on=date(2026, 2, 3),
    )
    found = one(cancelled)
    assert found.figures["refunds"] == Figure(money("300.5") * due, due, 0)
    # A refund is no credit that can be used.
    assert (found.used, found.overdue) == (Figure(), Figure())


def test_an_order_counts_from_the_instant_of_its_sale() -> None:
    tick = timedelta(microseconds=1)
    orders = [order(sold_at=AS_OF + by, sell_amount=amount) for by, amount in ((-tick, 1), (tick * 0, 2), (tick, 4))]
    assert one(*orders).used == Figure(money(3), 2, 0)


def test_the_status_says_what_counts() -> None:
    amounts = {"sell_amount": 100, "penalty_amount": 7, "refund_amount": 30, "refund_currency_id": "USD"}
    orders = [
        order(type=kind.name, status=status, **amounts) for kind in order_types.types() for status in kind.statuses
    ]
    found = one(*orders)
    counts = [one for kind in order_types.types() for one in kind.statuses.values()]
    owed = sum({"sell": 100, "penalty": 7, "": 0}[one.owes] for one in counts)
    assert found.used == Figure(money(owed), sum(bool(one.owes) for one in counts), 0)
    refunds = sum(one.refunds for one in counts)
    assert found.figures["refunds"] == Figure(money(30 * refunds), refunds, 0)
    assert (owed, refunds, found.unknown) == (821, 3, 0)


def test_one_entry_makes_a_new_type(monkeypatch: pytest.MonkeyPatch) -> None:
    debts = Debts([partner()], [order(type="boat", status="sailing"), order(type="boat", status="sunk")])
    assert asked(debts).partners[0].unknown == 2
    monkeypatch.setitem(order_types._types, "boat", OrderType("boat", "Boat", {"sailing": SALE, "sunk": NOTHING}))
    found = receivables.compute(as_of=AS_OF)
    assert (found.partners[0].unknown, found.partners[0].used) == (0, Figure(money(100), 1, 0))


def test_orders_of_unknown_status_are_named_while_they_might_owe_something() -> None:
    unknown = {"type": "car", "status": "stolen"}
    paid = {**unknown, "paid_on": DAY}
    refund = {"refund_amount": 5, "refund_currency_id": "KRW"}
    orders = [order(**unknown), order(**paid), order(**paid, **refund), order(**paid, **refund, refunded_on=DAY)]
    found = one(*orders, order(**unknown, **refund))
    assert (filled(found), found.unknown, found.lacks) == ({}, 3, 3)
    assert [(odd.reference, odd.figure, odd.day, odd.lacks) for odd in found.odd] == [
        (reference, "", None, ()) for reference in ("R1", "R3", "R5")
    ]
    assert found.odd[0].why("sale", "USD") == "no order type 'car' has the status 'stolen'"


# Rates


def test_rates_at_the_moment_of_sale() -> None:
    # 100 USD / 1.25 = 80 EUR, at 1,500.5 KRW on the day of sale in Seoul.
    kept = {("KRW", ON_SALE): money("1500.5"), ("KRW", DAY): money(9)}
    assert filled(one(order(), kept=kept, currency_id="KRW")) == {"today": ("120040", 1, 0)}


def as_of_the_day(**values: Any) -> Account:
    days = {"KRW": (ON_SALE, DAY - timedelta(days=3), DAY + timedelta(days=1)), "USD": (DAY,)}
    rates = {"KRW": ("9", "1500.5", "7"), "USD": ("1.25",)}
    kept = {(code, day): money(rate) for code in days for day, rate in zip(days[code], rates[code], strict=True)}
    return one(order(sell_rate=money(2)), kept=kept, currency_id="KRW", rates="as-of", **values)


def test_rates_as_of_the_day_are_the_newest_on_or_before_it() -> None:
    assert filled(as_of_the_day()) == {"today": ("120040", 1, 0)}


def test_a_rate_that_is_as_old_as_allowed_is_not_missing() -> None:
    assert filled(as_of_the_day(max_age_of_rate=3)) == {"today": ("120040", 1, 0)}


def test_a_rate_that_is_older_is_missing() -> None:
    found = as_of_the_day(max_age_of_rate=2)
    assert filled(found) == {"today": ("0", 1, 1)}
    assert found.odd[0].why("as-of", "KRW") == "there is no rate of KRW for 2026-03-01"


def test_a_missing_rate_is_never_one_and_its_order_is_named() -> None:
    found = one(order(), order(sell_currency_id="KRW", sell_rate=None), order(sell_amount=5), currency_id="KRW")
    assert filled(found) == {"today": ("100", 3, 2)}
    assert found.odd == (
        Odd(found.odd[0].order, "hotel", "R1", "booked", "today", "2026-02-02", ("KRW",)),
        Odd(found.odd[1].order, "hotel", "R3", "booked", "today", "2026-02-02", ("KRW",)),
    )
    assert found.odd[0].why("sale", "KRW") == "there is no rate of KRW for 2026-02-02"


def test_an_order_without_a_rate_of_its_own_says_so() -> None:
    found = one(order(sell_rate=None), currency_id="KRW")
    assert found.odd[0].lacks == ("USD", "KRW")
    told = "it says no rate of USD at its sale, and there is no rate of KRW for 2026-02-02"
    assert found.odd[0].why("sale", "KRW") == told


def test_only_the_first_are_named_but_all_are_counted() -> None:
    found = one(*[order(sell_rate=None, sell_currency_id="JPY") for _ in range(30)])
    assert (found.figures["today"], found.lacks) == (Figure(money(0), 30, 30), 30)
    assert [odd.reference for odd in found.odd] == [f"R{number}" for number in range(1, 21)]


def test_what_is_nothing_needs_no_rate() -> None:
    orders = [order(sell_amount=0, sell_rate=None), order(status="cancelled", sell_rate=None)]
    found = one(*orders, currency_id="KWD", credit_limit=0, credit_currency_id="JPY")
    assert (filled(found), found.lacks, found.limit) == ({}, 0, 0)


def test_the_euro_is_one_and_needs_no_rate() -> None:
    euros = order(sell_currency_id="EUR", sell_rate=None)
    # One that says otherwise does not count either.
    odd = order(sell_currency_id="EUR", sell_rate=money(7))
    assert filled(one(euros, odd, kept={("KRW", ON_SALE): money(1500)}, currency_id="KRW")) == {
        "today": ("300000", 2, 0)
    }


def test_dollars_told_in_euros() -> None:
    assert filled(one(order(sell_rate=money(3)), currency_id="EUR")) == {"today": ("33.33", 1, 0)}


def test_the_day_of_sale_is_the_partners_own_also_a_day_ahead() -> None:
    # In Kiritimati it is the first of March, 14 hours ahead of UTC.
    sold = datetime(2026, 2, 28, 10, 30, tzinfo=UTC)
    kept = {("KRW", DAY): money(2), ("KRW", date(2026, 2, 28)): money(3)}
    found = one(order(sold_at=sold), kept=kept, as_of=sold, currency_id="KRW", zone="Pacific/Kiritimati")
    assert filled(found) == {"today": ("160", 1, 0)}


@pytest.mark.parametrize(
    ("currency", "amount", "told"),
    [
        ("KRW", "0.5", "2"),
        ("KRW", "0.4999", "0"),
        ("KRW", "1.5", "4"),
        ("USD", "0.005", "0.02"),
        ("USD", "0.0049", "0.00"),
        ("KWD", "0.0005", "0.002"),
        ("KWD", "0.0004", "0.000"),
        ("CLF", "0.0001", "0.0002"),
    ],
)
def test_each_amount_is_rounded_half_away_from_zero_and_then_added(currency: str, amount: str, told: str) -> None:
    own = order(sell_currency_id=currency, sell_amount=money(amount))
    assert filled(one(own, own, currency_id=currency))["today"] == (told, 2, 0)


@pytest.mark.parametrize(("rate", "told"), [("2", "2"), ("2.00000001", "0"), ("0.66666666", "4"), ("0.66666667", "2")])
def test_what_is_converted_is_rounded_alike(rate: str, told: str) -> None:
    dollar = order(sell_amount=1, sell_rate=money(rate))
    assert filled(one(dollar, dollar, kept={("KRW", ON_SALE): money(1)}, currency_id="KRW"))["today"] == (told, 2, 0)


def test_a_quotient_just_below_a_half_is_not_rounded_up() -> None:
    """It is 12345.5 less 1e-14. PostgreSQL's own quotient has 12 decimals here, and is a half by then."""
    amount, into, of = money("123455000037036.4999"), money("0.00000001"), money("100.00000003")
    with connection.cursor() as cursor:
        cursor.execute("SELECT round(%s * %s / %s)", [amount, into, of])
        assert cursor.fetchone() == (12346,)
    found = one(order(sell_amount=amount, sell_rate=of), kept={("KRW", ON_SALE): into}, currency_id="KRW")
    assert filled(found) == {"today": ("12345", 1, 0)}


def test_amounts_of_any_size_keep_every_digit() -> None:
    amount, into = money("999999999999999.9999"), money("999999999999.99999999")
    huge = order(sell_amount=amount, sell_rate=money("0.00000001"))
    found = one(huge, huge, kept={("CLF", ON_SALE): into}, currency_id="CLF")
    digits = str(2 * 9_999_999_999_999_999_999 * 99_999_999_999_999_999_999)
    assert found.text(found.used.amount) == f"{digits[:-4]}.{digits[-4:]}"
    assert found.text(found.overdue.amount) == "0.0000"
