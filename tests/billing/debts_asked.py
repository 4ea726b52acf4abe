"""What the tests of receivables ask: a small world is stored, asked about, and the answer held against the loop."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from billing import receivables, receivables_loop
from billing.receivables_account import Account, Figure, Receivables
from tests.billing.debts import Debts, partner

DAY = date(2026, 3, 1)
# A minute past midnight in Seoul, where it is the first of March.
AS_OF = datetime(2026, 2, 28, 15, 1, tzinfo=UTC)
ON_SALE = date(2026, 2, 2)


def asked(debts: Debts, **question: Any) -> Receivables:
    """Store it, ask, and hold the answer against the loop."""
    ids = debts.store()
    question = {"as_of": AS_OF, **question}
    if "partners" in question:
        question["partners"] = [ids[i] for i in question["partners"]]
    found = receivables.compute(**question)
    assert receivables_loop.loop(found, question.get("partners"))[0] == found
    return found


QUESTION = ("as_of", "rates", "currency", "ages", "max_age_of_rate")


def one(*orders: dict[str, Any], kept: dict[tuple[str, date], Decimal] | None = None, **values: Any) -> Account:
    """Return the account of one partner with these orders, where these rates are kept."""
    question = {name: values.pop(name) for name in QUESTION if name in values}
    return asked(Debts([partner(**values)], list(orders), kept or {}), **question).partners[0]


def filled(account: Account) -> dict[str, tuple[str, int, int]]:
    """Return the figures that are not empty."""
    return {
        name: (str(account.text(figure.amount)), figure.orders, figure.lacks)
        for name, figure in account.figures.items()
        if figure != Figure()
    }
