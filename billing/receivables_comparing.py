"""What partners owed as of an instant that was saved, beside what they owe as of another one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from billing.receivables_account import Account, Receivables, added, written
from billing.receivables_saving import REPORT, WINDOW, filters_of, values_of
from ops.engine.parameters import BadParameters
from ops.models import ReportResult

FIGURES = ("pending", "today", "tomorrow", "later", "overdue", "refunds", "used", "over")
"""What is compared."""

SOME = 5
"""So many of the instants that are saved are named where another one is asked for."""


@dataclass(frozen=True)
class Change:
    """A sum then and now; None where there was no such partner or limit then, or is none now."""

    then: Decimal | None
    now: Decimal | None

    @property
    def difference(self) -> Decimal:
        """Return by how much it has grown."""
        return added(self.now or Decimal(0), -(self.then or Decimal(0)))


@dataclass(frozen=True)
class Changes:
    """The changes of an account by figure, and how many amounts, limits and orders its sums lacked and lack."""

    figures: dict[str, Change]
    then_lacks: int
    now_lacks: int

    @property
    def lacks(self) -> bool:
        """Tell whether a difference may be one of what is known, not of what is owed."""
        return bool(self.then_lacks or self.now_lacks)

    def as_json(self) -> dict[str, Any]:
        """Return the changes, amounts as text."""
        return {**_told(self.figures), "lacks": {"then": self.then_lacks, "now": self.now_lacks}}


@dataclass(frozen=True)
class Compared:
    """Totals by currency, and partners, each with its changes."""

    then: datetime
    run: int | None
    totals: dict[str, Changes]
    partners: dict[int, Changes]
    currencies: dict[int, str]

    def as_json(self) -> dict[str, Any]:
        """Return all changes, amounts as text."""
        return {
            "as_of": self.then.isoformat(),
            "run": self.run,
            "totals": [{"currency": one, **changes.as_json()} for one, changes in self.totals.items()],
            "partners": [
                {"partner": one, "currency": self.currencies[one], **changes.as_json()}
                for one, changes in self.partners.items()
            ],
        }


def _told(changes: Mapping[str, Change]) -> dict[str, Any]:
    def text(value: Decimal | None) -> str | None:
        return None if value is None else f"{value:f}"

    return {
        name: {"then": text(one.then), "now": text(one.now), "difference": text(one.difference)}
        for name, one in changes.items()
    }


def compare(found: Receivables, then: datetime, database: str, *, whole: bool) -> Compared:
    """Return what has changed since the results that were saved as of `then` under the same rates and ages.

    Those of the same second will do, the instant itself first: people write whole seconds.
    Totals are compared only where `found` is the whole: what is saved are those of all partners. A partner that
    reports in another currency by now is compared with nothing. Raises BadParameters where nothing is saved as of then.
    """
    saved = ReportResult.objects.using(database).filter(report=REPORT, window=WINDOW, filters=filters_of(found))
    second = then.replace(microsecond=0)
    within = saved.filter(as_of__gte=second, as_of__lt=second + timedelta(seconds=1))
    kept_then = set(within.values_list("as_of", flat=True).distinct())
    then = then if then in kept_then else max(kept_then, default=then)
    rows = list(within.filter(as_of=then).values_list("group", "values", "run"))
    if not rows:
        instants = saved.order_by("-as_of").values_list("as_of", flat=True).distinct()[:SOME]
        there = ", ".join(written(one) for one in instants) or "nothing"
        raise BadParameters(
            f"--compare: nothing is saved as of {written(then)} under these rates, ages and currency; saved last: "
            f"{there}. 'manage.py receivables --as-of INSTANT --save' saves."
        )
    kept = {(group.get("partner"), values["currency"]): values for group, values, _ in rows}
    totals = {one.currency: one for one in found.totals} if whole else {}
    currencies = sorted({*totals, *(currency for partner, currency in kept if whole and partner is None)})
    return Compared(
        then=then,
        run=rows[0][2],
        totals={one: _changes(kept.get((None, one)), totals.get(one)) for one in currencies},
        partners={
            one.partner: _changes(kept.get((one.partner, one.currency)), one)
            for one in found.partners
            if one.partner is not None
        },
        currencies={one.partner: one.currency for one in found.partners if one.partner is not None},
    )


def _changes(then: Mapping[str, Any] | None, now: Account | None) -> Changes:
    before = then or {}
    current = values_of(now) if now else {}
    return Changes(
        {name: Change(_number(before.get(name)), _number(current.get(name))) for name in FIGURES},
        then_lacks=int(before.get("lacks", 0)),
        now_lacks=now.lacks if now else 0,
    )


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
