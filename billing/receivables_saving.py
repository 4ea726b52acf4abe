"""The job `billing.save_receivables`: what each partner owes as of an instant, kept so that months can be compared.

As `ops.save_report`, of which it is one: computed, merged and ended in one transaction, saved again from the same data
nothing changes. Sums that lack amounts are not saved, unless that is accepted; then it is kept what they lack.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from django import forms

from billing import receivables
from billing.receivables_account import FIXED, REFUNDS, Account, Receivables
from ops import sql
from ops.engine.carrier import Carrier
from ops.engine.jobs import Job, Params
from ops.engine.parameters import BadParameters
from ops.engine.plan import Refused
from ops.engine.registry import register
from ops.engine.session import Session
from ops.reports.saving import SaveReport, SavingCarrier

if TYPE_CHECKING:
    from ops.reports.computing import Result

REPORT = "receivables"
WINDOW = "as_of"


class SaveReceivablesForm(forms.Form):
    """By which rates, in which currency and by which ages receivables are saved."""

    rates = forms.ChoiceField(
        choices=[("sale", "sale"), ("as-of", "as-of")], initial="sale", help_text="whose rates convert: sale or as-of"
    )
    currency = forms.CharField(required=False, max_length=3, help_text="tell all in this one, not each in its own")
    ages = forms.CharField(required=False, help_text="the last day overdue of each age but the oldest: 30,60,90")
    max_rate_age = forms.IntegerField(
        min_value=0, initial=receivables.MAX_AGE_OF_RATE, help_text="an older rate counts as missing"
    )
    incomplete = forms.BooleanField(required=False, help_text="accept sums that lack amounts")

    def clean_currency(self) -> str:
        """Return the code in capitals."""
        return str(self.cleaned_data["currency"]).upper()

    def clean_ages(self) -> str:
        """Return the ages written out, so that those of the settings at the time are kept."""
        parts = [part.strip() for part in self.cleaned_data["ages"].split(",") if part.strip()]
        if not all(part.isdecimal() for part in parts):
            raise forms.ValidationError("Give the last day of each age but the oldest, such as 30,60,90.")
        try:
            return ",".join(map(str, receivables.checked_ages([int(part) for part in parts] or None)))
        except BadParameters as exc:
            raise forms.ValidationError(str(exc).removeprefix("--ages: ")) from exc


def asked(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run's parameters ask for, as `receivables.compute` takes it."""
    return {
        "rates": params["rates"],
        "currency": params["currency"],
        "ages": tuple(int(one) for one in params["ages"].split(",")),
        "max_age_of_rate": params["max_rate_age"],
    }


def filters_of(found: Receivables) -> dict[str, Any]:
    """Return what saved results are told apart by: only those of the same may be compared."""
    return {
        "ages": ",".join(map(str, found.ages)),
        "currency": found.currency,
        "max_rate_age": found.max_age_of_rate,
        "rates": found.rates,
    }


@dataclass(frozen=True)
class _Window:
    """The one window there is: an instant, which has no edges."""

    name: str = WINDOW
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Came:
    """What receivables came to, in the form in which any report's result is saved."""

    as_of: datetime
    filters: dict[str, Any]
    rows: dict[str, list[dict[str, Any]]]
    totals: dict[str, list[dict[str, Any]]]
    report: str = REPORT
    windows: tuple[_Window, ...] = (_Window(),)


def came(found: Receivables) -> Came:
    """Return an entry for each partner, and one for each currency's total."""
    rows = [{"group": {"partner": one.partner}, "values": values_of(one)} for one in found.partners]
    totals = [{"group": {"currency": one.currency}, "values": values_of(one)} for one in found.totals]
    return Came(found.as_of, filters_of(found), {WINDOW: rows}, {WINDOW: totals})


def values_of(account: Account) -> dict[str, int | str | None]:
    """Return what is kept of an account: its sums, as text, and how much they lack."""
    sums = {name: account.figures[name].amount for name in FIXED if name != REFUNDS}
    sums["overdue"] = account.overdue.amount
    sums |= {f"overdue {name}": one.amount for name, one in account.figures.items() if name not in FIXED}
    sums |= {REFUNDS: account.figures[REFUNDS].amount, "used": account.used.amount}
    limits = {"limit": account.limit, "left": account.left, "over": account.over}
    amounts = {name: account.text(value) for name, value in {**sums, **limits}.items()}
    return {"currency": account.currency, **amounts, "lacks": account.lacks}


@register
class SaveReceivables(SaveReport):
    """Save what each partner owes, so that months can be compared."""

    name = "billing.save_receivables"
    params = SaveReceivablesForm  # type: ignore[assignment]  # any form, as Job has it

    def __init__(self) -> None:
        super().__init__()
        self.found: Receivables | None = None
        """What was computed last, saved or refused, for who asked for it."""

    def bind(self, params: Params) -> "SaveReceivables":
        return self

    def examine(self, database: str, params: Params) -> None:
        """Refuse a currency that there is not before a run is opened."""
        receivables.check_currency(params["currency"], database)

    def describe(self, params: Params) -> str:
        told = f"rates of {params['rates']}, ages {params['ages']}"
        return f"{told}, in {params['currency']}" if params["currency"] else told

    def statements(self, params: Params) -> Iterator[sql.Statement]:
        yield from super().statements(params)
        yield sql.load(receivables.STATEMENT)

    def carrier(self) -> type[Carrier]:
        return ReceivablesCarrier


class ReceivablesCarrier(SavingCarrier):
    """One run that saves receivables, in this process."""

    @staticmethod
    def shown(session: Session, job: Job, params: Params, *, explain: bool) -> str:
        if explain:
            return "\n".join(receivables.explain(**asked(params), database=session.alias))
        return "\n\n".join(f"-- {one.name}\n{one.body};" for one in job.statements(params))

    @property
    def as_of(self) -> datetime:
        """Return the whole second as of which it is saved: --compare could not name a part of one."""
        return super().as_of.replace(microsecond=0)

    def compute(self) -> "Result":
        """Return what partners owe; raise Refused where sums lack amounts and that is not accepted."""
        job = cast("SaveReceivables", self.job)
        job.found = receivables.compute(as_of=self.as_of, **asked(self.params), database=self.session.alias)
        if job.found.lacks and not self.params["incomplete"]:
            raise Refused(
                f"{job.found.lacks:,} amounts, limits or orders are in no sum: 'manage.py receivables' names them; "
                "load the rates or correct the orders, or accept that by --incomplete."
            )
        return cast("Result", came(job.found))
