"""`manage.py receivables`: what it prints at a terminal and elsewhere, its exit codes and sentences."""

import csv
import json
import re
from datetime import date
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper

from billing import receivables
from billing.models import Order
from billing.receivables_account import Figure
from tests.billing.debts import Debts, money, order, partner
from tests.billing.debts_asked import ON_SALE
from tests.ops.shop import command

pytestmark = pytest.mark.django_db

AT = ("--as-of", "2026-03-01T00:01+09:00")
RATES = {("KRW", ON_SALE): money("1500.5"), ("USD", ON_SALE): money("1.25")}
RATES |= {("USD", date(2026, 2, 27)): money("1.25"), ("KRW", date(2026, 2, 27)): money("1500")}


def shop(**values: Any) -> list[int]:
    """Two partners that owe and one that does not."""
    limit = {"credit_limit": 1000, "credit_currency_id": "USD"}
    orders = [
        order(due_on=date(2026, 1, 20), sell_amount=money("1234.5")),
        order(due_on=date(2026, 3, 2), **values),
        order(partner=1),
        order(partner=1, status="cancelled", refund_amount=30, refund_currency_id="USD", refund_rate=money("1.25")),
    ]
    return Debts([partner(**limit), partner(currency_id="KRW"), partner()], orders, RATES).store()


def told(text: str) -> list[str]:
    """Return the lines of a text without rules and needless blanks."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip("─ ")]


def test_partners_side_by_side_and_their_totals() -> None:
    a, b, _ = shop()
    said = command("receivables", *AT)
    assert (said.code, said.err) == (0, "")
    assert told(said.out) == [
        "Receivables as of 2026-03-01T00:01:00+09:00, rates at the moment of sale.",
        "3 partners. 1 of them owes nothing and is due nothing.",
        "To pay",
        "partner in pending today tomorrow later",
        f"partner 0 ({a}) USD 0.00 0.00 100.00 0.00",
        f"partner 1 ({b}) KRW 0 120,040 0 0",
        "Overdue, by days",
        "partner in 1-30 31-60 61-90 91+",
        f"partner 0 ({a}) USD 0.00 1,234.50 0.00 0.00",
        f"partner 1 ({b}) KRW 0 0 0 0",
        "Refunds due, and credit (below zero: over)",
        "partner in refunds limit used left",
        f"partner 0 ({a}) USD 0.00 1,000.00 1,334.50 -334.50",
        f"partner 1 ({b}) KRW 36,012 - 120,040 -",
        "Totals",
        "KRW USD",
        "partners 1 2",
        "pending 0 0.00",
        "today 120,040 0.00",
        "tomorrow 0 100.00",
        "later 0 0.00",
        "overdue 0 1,234.50",
        "1-30 0 0.00",
        "31-60 0 1,234.50",
        "61-90 0 0.00",
        "91+ 0 0.00",
        "refunds 36,012 0.00",
        "used 120,040 1,334.50",
        "limit - 1,000.00",
        "left - 0.00",
        "over - 334.50",
    ]
    assert max(map(len, said.out.splitlines())) <= 80


def test_one_partner_by_itself() -> None:
    pk = shop()[0]
    said = command("receivables", *AT, "--partner", "partner 0")
    assert said.code == 0
    assert told(said.out) == [
        "Receivables as of 2026-03-01T00:01:00+09:00, rates at the moment of sale.",
        f"partner partner 0 ({pk}), Asia/Seoul, where it is 2026-03-01",
        "pending 0.00 USD of 0 orders",
        "today 0.00 USD of 0 orders",
        "tomorrow 100.00 USD of 1 order",
        "later 0.00 USD of 0 orders",
        "overdue 1,234.50 USD of 1 order",
        "1-30 0.00 USD of 0 orders",
        "31-60 1,234.50 USD of 1 order",
        "61-90 0.00 USD of 0 orders",
        "91+ 0.00 USD of 0 orders",
        "refunds 0.00 USD of 0 orders",
        "used 1,334.50 USD",
        "limit 1,000.00 USD",
        "left 0.00 USD",
        "over 334.50 USD",
    ]


def test_more_ages_than_fit_get_a_table_more() -> None:
    shop()
    said = command("receivables", *AT, "--ages", "10, 20,30,40,50")
    assert said.out.count("Overdue, by days") == 2
    assert "partner in 1-10 11-20 21-30 31-40" in told(said.out)
    assert "partner in 41-50 51+" in told(said.out)
    assert max(map(len, said.out.splitlines())) <= 80


def test_at_a_terminal_it_is_set_in_colour_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    shop()
    plain = command("receivables", *AT).out
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(OutputWrapper, "isatty", lambda self: True)
    out = StringIO()
    call_command("receivables", *AT, stdout=out, stderr=StringIO(), force_color=False)
    assert "\x1b[1mTo pay" in out.getvalue()
    assert told(re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())) == told(plain)


def test_json_is_one_object() -> None:
    a, b, c = shop()
    said = command("receivables", *AT, "--json", "--currency", "eur")
    found = json.loads(said.out)
    assert (said.code, found["currency"], found["lacks"]) == (0, "EUR", 0)
    assert [one["partner"] for one in found["partners"]] == [a, b, c]
    assert [(one["currency"], one["tomorrow"]["amount"], one["refunds"]["amount"]) for one in found["totals"]] == [
        ("EUR", "80.00", "24.00")
    ]


def test_csv_has_a_row_for_each_partner() -> None:
    a, b, c = shop()
    said = command("receivables", *AT, "--csv")
    rows = list(csv.DictReader(StringIO(said.out)))
    assert said.code == 0
    assert [int(row["partner"]) for row in rows] == [a, b, c]
    assert rows[0] == {
        "partner": str(a),
        "name": "partner 0",
        "zone": "Asia/Seoul",
        "day": "2026-03-01",
        "currency": "USD",
        "pending": "0.00",
        "today": "0.00",
        "tomorrow": "100.00",
        "later": "0.00",
        "overdue": "1234.50",
        "overdue 1-30": "0.00",
        "overdue 31-60": "1234.50",
        "overdue 61-90": "0.00",
        "overdue 91+": "0.00",
        "refunds": "0.00",
        "used": "1334.50",
        "limit": "1000.00",
        "left": "0.00",
        "over": "334.50",
        "lacks": "0",
        "unknown": "0",
    }


def test_nobody_owes_where_nobody_is() -> None:
    said = command("receivables", *AT)
    assert (said.code, told(said.out)[1:]) == (0, ["There are no partners."])
    assert command("receivables", *AT, "--csv").out.startswith("partner,name,zone,day,currency,pending")
    assert json.loads(command("receivables", *AT, "--json").out)["partners"] == []


# What is missing


def test_sums_that_lack_amounts_are_shown_and_refused() -> None:
    a = shop(sell_currency_id="JPY", sell_rate=None)[0]
    Order.objects.filter(partner=a, sell_currency="USD").update(type="boat")
    said = command("receivables", *AT)
    assert said.code == 3
    assert f"partner 0 ({a}) USD 0.00 0.00 0.00* 0.00" in told(said.out)
    assert f"partner 0 ({a}) USD 0.00 1,000.00 0.00* 1,000.00*" in told(said.out)
    assert told(said.out)[-5:-1] == ["used 120,040 0.00*", "limit - 1,000.00", "left - 1,000.00*", "over - 0.00*"]
    assert told(said.out)[-1] == "* The sum lacks amounts: their rate is missing, or their order unknown."
    assert told(said.err) == [
        f"partner 0 ({a}): boat R1: no order type 'boat' has the status 'booked'",
        f"partner 0 ({a}): hotel R2, tomorrow: it says no rate of JPY at its sale",
    ]
    assert said.error == (
        "In no sum: 1 amount without a rate and 1 order of unknown type or status, of 1 partner; load the rates "
        "('manage.py load_rates FILE') or correct the orders, register the status in billing/order_types.py or correct "
        "the orders, or accept that by --incomplete."
    )
    assert command("receivables", *AT, "--incomplete").code == 0
    found = json.loads(command("receivables", *AT, "--json", "--incomplete").out)
    assert found["partners"][0]["lacking"][1] == {
        "order": found["partners"][0]["lacking"][1]["order"],
        "type": "hotel",
        "reference": "R2",
        "status": "booked",
        "figure": "tomorrow",
        "day": "2026-02-02",
        "lacks": ["JPY"],
    }
    assert (
        found["partners"][0]["credit"]
        == found["totals"][1]["credit"]
        == {
            "limit": "1000.00",
            "used": "0.00",
            "left": "1000.00",
            "over": "0.00",
            "lacks": 0,
            "used_lacks": 1,
            "unknown": 1,
        }
    )
    alone = command("receivables", *AT, "--partner", str(a))
    assert {"used 0.00* USD", "limit 1,000.00 USD", "left 1,000.00* USD", "over 0.00* USD"} < set(told(alone.out))
    assert told(alone.out)[-1] == "* The sum lacks amounts: their rate is missing, or their order unknown."
    assert "tomorrow 0.00 USD of 1 order, lacks 1 of them" in told(alone.out)
    assert "unknown 1 order in no figure" in told(alone.out)


def test_a_limit_without_a_rate_is_named() -> None:
    a = Debts([partner(credit_limit=1, credit_currency_id="KRW")], [order()]).store()[0]
    said = command("receivables", *AT)
    assert (said.code, told(said.err)) == (3, [f"partner 0 ({a}): its credit limit has no rate for 2026-03-01"])
    assert said.error.startswith("In no sum: 1 credit limit without one, of 1 partner; load the rates")
    assert "limit known, but no rate to convert it by" in told(command("receivables", *AT, "--partner", str(a)).out)


def test_not_more_are_named_than_can_be_read() -> None:
    Debts([partner(), partner()], [order(partner=i % 2, status="lost") for i in range(50)]).store()
    said = command("receivables", *AT)
    assert (said.code, len(told(said.err))) == (3, 20)
    assert said.error.startswith("In no sum: 50 orders of unknown type or status, of 2 partners; register the status")


# Orders


def test_the_orders_of_a_figure_add_up_to_it() -> None:
    _, b, _ = shop()
    said = command("receivables", *AT, "--partner", str(b), "--orders")
    assert (said.code, said.err) == (0, "")
    assert told(said.out) == [
        "Receivables as of 2026-03-01T00:01:00+09:00, rates at the moment of sale.",
        f"partner 1 ({b}): 2 amounts",
        "order counts as due amount rate KRW",
        "hotel R3 today 2026-03-01 100 USD 1500.50 / 1.25 120,040",
        "hotel R4 refunds 2026-03-01 30 USD 1500.50 / 1.25 36,012",
        "Owed 120,040 KRW, to be refunded 36,012 KRW.",
    ]
    found = json.loads(command("receivables", *AT, "--partner", str(b), "--orders", "--json").out)
    assert [one["converted"] for one in found["orders"]] == ["120040", "36012"]
    assert found["partners"][0]["today"]["amount"] == "120040"


@pytest.mark.parametrize(
    ("figure", "references"), [("overdue", ["R1"]), ("tomorrow", ["R2"]), ("refunds", []), ("lacking", [])]
)
def test_the_orders_of_one_figure_alone(figure: str, references: list[str]) -> None:
    a = shop()[0]
    said = command("receivables", *AT, "--partner", str(a), "--orders", figure, "--csv")
    assert [row["reference"] for row in csv.DictReader(StringIO(said.out))] == references


def test_the_orders_that_are_in_no_sum() -> None:
    a = shop(sell_currency_id="JPY", sell_rate=None)[0]
    said = command("receivables", *AT, "--partner", str(a), "--orders", "lacking", "--incomplete")
    assert said.code == 0
    assert "hotel R2 tomorrow 2026-03-02 100 JPY 1.25 / ? -" in told(said.out)


# Usage


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--orders",), "--orders lists those of one partner: name it by --partner."),
        (("--orders", "--save", "--partner", "1"), "--orders and --save do not go together: leave one of them out."),
        (("--show-sql", "--explain"), "--show-sql and --explain do not go together: leave one of them out."),
        (("--compare", "2026-01-01", "--csv"), "--compare and --csv do not go together: leave one of them out."),
        (("--partner", "nobody"), "--partner: There is no partner 'nobody': give its name or its id."),
        (("--currency", "xxx"), "There is no currency 'XXX'; there is: none."),
        (
            ("--as-of", "9999-12-31T00:00-12:00"),
            "9999-12-31T12:00:00+00:00 lies at an end of time: name a nearer instant.",
        ),
        (("--ages", "60,30"), "--ages: 60,30 are no ages: give 1 to 7 rising numbers of days, such as 30,60,90."),
        (
            ("--save", "--partner", "1"),
            "--save keeps what all partners owe, so that it can be compared: leave --partner out.",
        ),
    ],
)
def test_what_does_not_go_is_said_in_a_sentence(words: tuple[str, ...], sentence: str) -> None:
    said = command("receivables", *words)
    assert (said.code, said.error, said.out) == (2, sentence, "")


def test_what_is_to_come_is_not_saved() -> None:
    said = command("receivables", "--save", "--as-of", "2999-01-01")
    assert said.code == 3
    assert said.error == (
        "2999-01-01T00:00:00+09:00 lies in the future, and what is saved is what has been: leave --save out, or name "
        "an earlier instant."
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--ages", "1,x"), "'1,x' are no ages: give the last day of each but the oldest, such as 30,60,90"),
        (("--max-rate-age", "-1"), "'-1' is not a number of days"),
        (("--rates", "mine"), "invalid choice: 'mine'"),
    ],
)
def test_malformed_options_are_refused(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as caught:
        call_command("receivables", *words)
    assert caught.value.returncode == 2


def test_a_name_that_two_partners_have_is_asked_for_by_id() -> None:
    first, second = Debts([partner(), partner()], []).store()
    Order.objects.model.partner.field.related_model.objects.get(pk=second).client.__class__.objects.update(name="Kim")
    said = command("receivables", "--partner", "Kim")
    assert (said.code, said.error) == (2, "--partner: Several rows are called 'Kim': give the partner's id.")
    assert command("receivables", "--partner", str(first)).code == 0


def test_the_statement_and_its_plan_can_be_seen() -> None:
    shop()
    shown = command("receivables", "--show-sql")
    assert shown.out.startswith("-- Total what partners owe as of an instant")
    plan = command("receivables", *AT, "--explain")
    assert "billing_fxrate_pkey" in plan.out
    assert "Execution Time" in plan.out


def test_a_figure_adds_up() -> None:
    assert Figure(money(1), 1, 0) + Figure(money(2), 3, 4) == Figure(money(3), 4, 4)
    assert receivables.default_ages() == (30, 60, 90)
