"""Credit, totals, and who is asked about, by examples that are written out."""

from typing import Any

import pytest

from billing import receivables
from billing.models import Currency
from ops.engine.parameters import BadParameters
from tests.billing.debts import Debts, money, order, partner
from tests.billing.debts_asked import AS_OF, DAY, ON_SALE, asked, filled, one

pytestmark = pytest.mark.django_db


def credit(limit: str | int | None, currency: str | None, **values: Any) -> tuple[Any, ...]:
    """Return limit, left, over and how many limits lack a rate, where 100 USD are owed."""
    found = one(order(), credit_limit=limit, credit_currency_id=currency, **values)
    return found.text(found.limit), found.text(found.left), found.text(found.over), found.limits_lacking


def test_credit_is_what_the_limit_leaves() -> None:
    assert credit(150, "USD") == ("150.00", "50.00", "0.00", 0)


def test_over_is_what_exceeds_the_limit() -> None:
    assert credit(money("99.99"), "USD") == ("99.99", "0.00", "0.01", 0)


def test_a_limit_is_rounded_to_the_minor_unit() -> None:
    assert credit(money("99.995"), "USD") == ("100.00", "0.00", "0.00", 0)


def test_a_limit_is_converted_by_the_rates_of_the_day() -> None:
    kept = {("KRW", DAY): money(1500), ("USD", DAY): money(2), ("KRW", ON_SALE): money(1)}
    assert credit(30_000, "KRW", kept=kept) == ("40.00", "0.00", "60.00", 0)


def test_a_limit_without_a_rate_leaves_nothing_known() -> None:
    assert credit(30_000, "KRW", kept={("KRW", ON_SALE): money(1500)}) == (None, None, None, 1)


def test_without_a_limit_nothing_is_left_or_over() -> None:
    assert credit(None, None) == (None, None, None, 0)


# Totals


def test_there_is_one_total_for_each_currency_that_is_reported_in() -> None:
    limit = {"credit_limit": 150, "credit_currency_id": "USD"}
    partners = [partner(**limit), partner(), partner(currency_id="KRW", **limit)]
    found = asked(Debts(partners, [order(partner=i) for i in (0, 0, 1, 2)], {("KRW", ON_SALE): money(5)}))
    won, dollar = found.totals
    assert [(total.currency, total.partners, filled(total)) for total in (won, dollar)] == [
        ("KRW", 1, {"today": ("400", 1, 0)}),
        ("USD", 2, {"today": ("300.00", 3, 0)}),
    ]
    # Of the partners that have a limit: one is known in dollars, and none in won.
    assert (dollar.limits, dollar.limit, dollar.left, dollar.over, dollar.limits_lacking) == (1, 150, 0, 50, 0)
    assert (won.limits, won.limit, won.left, won.over, won.limits_lacking) == (1, None, None, None, 1)


def test_in_one_currency_there_is_one_total() -> None:
    debts = Debts(
        [partner(), partner(currency_id="KRW")],
        [order(partner=0), order(partner=1)],
    )
    found = asked(debts, currency="EUR")
    assert [account.currency for account in (*found.partners, *found.totals)] == ["EUR"] * 3
    assert filled(found.totals[0]) == {"today": ("160.00", 2, 0)}


def test_of_some_partners_the_totals_are_theirs() -> None:
    found = asked(Debts([partner(), partner()], [order(partner=0), order(partner=1)]), partners=[1])
    assert [account.name for account in found.partners] == ["partner 1"]
    assert filled(found.totals[0]) == {"today": ("100.00", 1, 0)}


def test_where_there_is_nothing_the_answer_is_empty() -> None:
    found = asked(Debts([], []))
    assert (found.partners, found.totals, found.lacks) == ((), (), 0)


def test_a_partner_without_orders_owes_nothing() -> None:
    found = asked(Debts([partner(currency_id="KWD")], [])).partners[0]
    assert (filled(found), found.text(found.used.amount)) == ({}, "0.000")


def test_who_and_what_is_not_there_is_refused() -> None:
    Currency.objects.create(code="KRW", minor_units=0)
    with pytest.raises(BadParameters, match=r"There is no currency 'XXX'; there is: KRW\."):
        receivables.compute(currency="XXX")
    with pytest.raises(BadParameters, match=r"There is no partner 7: 'manage\.py receivables' lists them\."):
        receivables.compute(partners=[7])


def test_the_same_queries_answer_for_one_partner_and_for_many(django_assert_num_queries: Any) -> None:
    debts = Debts([partner() for _ in range(40)], [order(partner=i % 40) for i in range(200)])
    ids = debts.store()
    for partners in (ids[:1], ids, None):
        # A savepoint, its limits, the statement, and its release.
        with django_assert_num_queries(4):
            found = receivables.compute(as_of=AS_OF, partners=partners)
        assert len(found.partners) == len(partners or ids)


def test_json_tells_amounts_as_text() -> None:
    found = asked(Debts([partner(credit_limit=1, credit_currency_id="USD")], [order(), order(sell_rate=None)]))
    told = found.as_json()
    assert told["partners"][0]["today"] == {"amount": "200.00", "orders": 2, "lacks": 0}
    assert told["partners"][0]["credit"] == {
        "limit": "1.00",
        "used": "200.00",
        "left": "0.00",
        "over": "199.00",
        "lacks": 0,
        "used_lacks": 0,
        "unknown": 0,
    }
    assert [age["age"] for age in told["totals"][0]["overdue"]["ages"]] == ["1-30", "31-60", "61-90", "91+"]
    assert (told["as_of"], told["rates"], told["currency"]) == ("2026-02-28T15:01:00+00:00", "sale", None)
