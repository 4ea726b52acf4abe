"""What receivables are told as: figures, a partner's account, and all accounts with their totals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import MAX_PREC, Decimal, localcontext
from typing import Any

from ops import clock

REFUNDS, PENDING, TODAY, TOMORROW, LATER = FIXED = ("refunds", "pending", "today", "tomorrow", "later")


def added(*amounts: Decimal) -> Decimal:
    """Return a sum with all its digits: by itself Python keeps 28."""
    with localcontext(prec=MAX_PREC):
        return sum(amounts, Decimal(0))


def written(moment: datetime) -> str:
    """Return an instant as --as-of and --compare take it, in the project's zone."""
    return moment.astimezone(clock.zone()).isoformat()


def age_names(ages: Sequence[int]) -> tuple[str, ...]:
    """Return what the ages are called, in days overdue: 1-30, 31-60, 61-90, 91+."""
    since = [1, *(bound + 1 for bound in ages)]
    return (*(f"{first}-{last}" for first, last in zip(since, ages, strict=False)), f"{since[-1]}+")


def figure_names(ages: Sequence[int]) -> tuple[str, ...]:
    """Return the names of an account's figures, in the statement's order."""
    return (*FIXED, *age_names(ages))


@dataclass(frozen=True)
class Figure:
    """A sum: of how many amounts, and how many of them it lacks, their rate missing."""

    amount: Decimal = Decimal(0)
    orders: int = 0
    lacks: int = 0

    def __add__(self, other: "Figure") -> "Figure":
        return Figure(added(self.amount, other.amount), self.orders + other.orders, self.lacks + other.lacks)


@dataclass(frozen=True)
class Odd:
    """An amount that is in no sum: its order is of unknown type or status, or currencies have no rate on a day."""

    order: int
    type: str
    reference: str
    status: str
    figure: str
    """Which it belongs to; "" where the order is unknown."""
    day: str | None
    lacks: tuple[str, ...]

    def why(self, rates: str, reporting: str) -> str:
        """Say why it is in no sum of an account that is told in `reporting`."""
        if not self.figure:
            return f"no order type {self.type!r} has the status {self.status!r}"
        own = [code for code in self.lacks if rates == "sale" and code != reporting]
        kept = [code for code in self.lacks if code not in own]
        words = [f"it says no rate of {code} at its sale" for code in own]
        if kept:
            words.append(f"there is no rate of {' and '.join(kept)} for {self.day}")
        return ", and ".join(words)


@dataclass(frozen=True)
class Account:
    """What a partner owes in its reporting currency, or (without a partner) what all that report in a currency owe."""

    partner: int | None
    name: str
    zone: str
    today: date | None
    """The day there as of the instant; None for a total, whose partners may have different ones."""
    currency: str
    minor_units: int
    partners: int
    figures: Mapping[str, Figure]
    limits: int
    """How many partners have a credit limit."""
    limit: Decimal | None
    """None where there is none, or where its rate is missing; of a total, the sum of those that are known."""
    left: Decimal | None
    over: Decimal | None
    limits_lacking: int
    unknown: int
    """Orders of unknown type or status, which are in no figure."""
    odd: tuple[Odd, ...]
    """The first of what is in no sum."""

    @property
    def overdue(self) -> Figure:
        """Return what is overdue at any age."""
        return sum((one for name, one in self.figures.items() if name not in FIXED), Figure())

    @property
    def used(self) -> Figure:
        """Return what is owed, due or not: it uses credit."""
        return sum((one for name, one in self.figures.items() if name != REFUNDS), Figure())

    @property
    def used_misses(self) -> int:
        """Return how many amounts and orders would make `used` another, were they known."""
        return self.used.lacks + self.unknown

    @property
    def left_misses(self) -> int:
        """Return how many amounts, orders and limits would make `left` and `over` others, were they known."""
        return self.used_misses + self.limits_lacking

    @property
    def lacks(self) -> int:
        """Return how many amounts and limits its sums lack, and orders that are unknown."""
        return sum(one.lacks for one in self.figures.values()) + self.limits_lacking + self.unknown

    def text(self, amount: Decimal | None) -> str | None:
        """Return an amount with the decimals of the currency, as JSON and CSV have it."""
        return None if amount is None else f"{amount:.{self.minor_units}f}"

    def as_json(self) -> dict[str, Any]:
        """Return the account as one object, amounts as text."""
        told: dict[str, Any] = {"currency": self.currency, "partners": self.partners}
        if self.partner is not None:
            told = {
                "partner": self.partner,
                "name": self.name,
                "currency": self.currency,
                "zone": self.zone,
                "day": self.today and self.today.isoformat(),
            }
        ages = [{"age": name, **self._figure(one)} for name, one in self.figures.items() if name not in FIXED]
        told |= {name: self._figure(self.figures[name]) for name in (PENDING, TODAY, TOMORROW, LATER)}
        told["overdue"] = {**self._figure(self.overdue), "ages": ages}
        told[REFUNDS] = self._figure(self.figures[REFUNDS])
        told["credit"] = {
            "limit": self.text(self.limit),
            "used": self.text(self.used.amount),
            "left": self.text(self.left),
            "over": self.text(self.over),
            "lacks": self.limits_lacking,
            "used_lacks": self.used.lacks,
            "unknown": self.unknown,
        }
        told["unknown"] = self.unknown
        if self.partner is not None:
            told["lacking"] = [
                {
                    "order": one.order,
                    "type": one.type,
                    "reference": one.reference,
                    "status": one.status,
                    "figure": one.figure or None,
                    "day": one.day,
                    "lacks": list(one.lacks),
                }
                for one in self.odd
            ]
        return told

    def _figure(self, one: Figure) -> dict[str, Any]:
        return {"amount": self.text(one.amount), "orders": one.orders, "lacks": one.lacks}


@dataclass(frozen=True)
class Receivables:
    """What partners owe as of an instant, by their ids, and what they owe together, by currency."""

    as_of: datetime
    rates: str
    currency: str
    ages: tuple[int, ...]
    max_age_of_rate: int
    partners: tuple[Account, ...]
    totals: tuple[Account, ...]

    @property
    def lacks(self) -> int:
        """Return how many amounts, limits and orders are in no sum."""
        return sum(account.lacks for account in self.totals)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as one object, amounts as text."""
        return {
            "as_of": self.as_of.isoformat(),
            "rates": self.rates,
            "currency": self.currency or None,
            "ages": list(self.ages),
            "max_age_of_rate": self.max_age_of_rate,
            "lacks": self.lacks,
            "partners": [account.as_json() for account in self.partners],
            "totals": [account.as_json() for account in self.totals],
        }
