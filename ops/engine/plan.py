"""What a run would change: counts, money, the largest changes, what is refused; and the guards on it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Context, Decimal
from typing import Any

from ops import clock, sql
from ops.engine.compiler import Compiler
from ops.engine.jobs import Job
from ops.engine.session import Session
from ops.engine.staging import stage_difference

EXACT = Context(prec=100)
"""Digits enough for any sum of money; Python's default of 28 would round the largest."""

LARGEST = 10
REFUSED_SHOWN = 20


class Refused(Exception):
    """A guard refuses to go on; nothing was changed. The message says which, on what, and what to do.

    Where a plan is what was refused, `plan` is it, and `run` the one that made it.
    """

    def __init__(self, message: str, plan: "Plan | None" = None) -> None:
        super().__init__(message)
        self.plan = plan
        self.run: int | None = None


@dataclass
class Amount:
    """Money of one currency over all rows looked at, before and after; `None` stands for rows without a currency."""

    currency: str | None
    before: Decimal
    after: Decimal

    @property
    def percent(self) -> Decimal | None:
        """Return the change in percent of the sum before, None where that was 0."""
        return (self.after - self.before) * 100 / self.before if self.before else None


@dataclass
class Plan:
    """What a run would change. Money is exact; `largest` and `refused` are samples, the counts are complete.

    Where `margin` is not None, the counts are estimated from a sample: `changes` is right to within it, in 19 cases
    of 20.
    """

    looked_at: int = 0
    changes: int = 0
    held: int = 0
    refusals: int = 0
    amounts: list[Amount] = field(default_factory=list)
    largest: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    row_percent: Decimal | None = None
    margin: int | None = None
    staged_at: float | None = None
    """When the difference of all rows was staged by the way, by the monotonic clock; None where it was not."""

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON takes it: money as strings."""
        document = asdict(self)
        del document["staged_at"]
        document["amounts"] = [
            {"currency": a.currency, "before": plain(a.before), "after": plain(a.after)} for a in self.amounts
        ]
        document["row_percent"] = None if self.row_percent is None else plain(round(self.row_percent, 2))
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Plan":
        """Return the plan that `as_json` wrote."""
        known = {name: document[name] for name in ("looked_at", "changes", "held", "refusals") if name in document}
        amounts = [
            Amount(a["currency"], Decimal(a["before"]), Decimal(a["after"])) for a in document.get("amounts", [])
        ]
        percent = document.get("row_percent")
        return cls(
            **known,
            amounts=amounts,
            largest=document.get("largest", []),
            refused=document.get("refused", []),
            row_percent=None if percent is None else Decimal(percent),
            margin=document.get("margin"),
        )


@dataclass(frozen=True)
class Guards:
    """Bounds of a run: rows, percent of the sum of a currency, percent of one row's value. None bounds nothing."""

    max_rows: int | None = None
    max_change: Decimal | None = None
    max_row_change: Decimal | None = None

    def __bool__(self) -> bool:
        return any(bound is not None for bound in (self.max_rows, self.max_change, self.max_row_change))


def plain(value: Decimal) -> str:
    """Return a decimal without exponent and without zeros that say nothing (two decimals stay: 237.50)."""
    text = format(value, "f")
    if "." in text:
        whole, _, decimals = text.partition(".")
        decimals = decimals.rstrip("0")
        text = f"{whole}.{decimals.ljust(2, '0')}" if decimals else whole
    return "0" if text in ("-0", "") else text


def make(
    session: Session,
    compiler: Compiler,
    values: dict[str, Any],
    *,
    holds: bool,
    window: int = 0,
    upto: Sequence[str] | None = None,
) -> Plan:
    """Count what a run would change, in the present transaction; `upto` bounds the keys looked at.

    Where all rows looked at fit one window, their difference is staged: the run that follows can write from it.
    """
    plan = Plan()
    session.execute("ops/set_sort.sql", {"sort": False})
    totals = session.execute(compiler.totals(holds=holds, upto=upto), values)
    session.execute("ops/set_sort.sql", {"sort": True})
    # The order in which groups come is the planner's; people and tests want the currencies' own.
    for currency, looked_at, changes, held, refusals, before, change, percent in sorted(
        totals, key=lambda row: (row[0] is None, row[0])
    ):
        plan.looked_at += looked_at
        plan.changes += changes
        plan.held += held
        plan.refusals += refusals
        if before is not None:
            plan.amounts.append(Amount(currency, before, EXACT.add(before, change)))
        if percent is not None:
            plan.row_percent = max(percent, plan.row_percent or Decimal(0))
    if plan.refusals:
        rows = session.execute(compiler.refusals(REFUSED_SHOWN), values)
        names = _labels(session, compiler.job, [key for key, _ in rows])
        plan.refused = [{"key": key[0] if len(key) == 1 else key, **names(key), "reason": why} for key, why in rows]
    if plan.changes and compiler.job.reconciles:
        staged = plan.looked_at <= window
        if staged:
            stage_difference(session, compiler, values, holds=holds)
            plan.staged_at = clock.monotonic()
        rows = session.execute(compiler.largest(LARGEST, holds=holds, staged=staged), values)
        names = _labels(session, compiler.job, [key for key, _ in rows])
        width = len(compiler.job.columns)
        for key, pair in rows:
            old, new = _values(compiler.job, pair[:width]), _values(compiler.job, pair[width:])
            plan.largest.append({"key": key[0] if len(key) == 1 else key, **names(key), "old": old, "new": new})
    return plan


def _values(job: Job, texts: Sequence[str | None]) -> Any:
    """Return one value as text, or several by column."""
    money = job.money.column if job.money else None
    shown = [
        "***" if name in job.masked else plain(Decimal(text)) if text is not None and name == money else text
        for name, text in zip(job.columns, texts, strict=True)
    ]
    return shown[0] if len(shown) == 1 else dict(zip(job.columns, shown, strict=True))


def _labels(session: Session, job: Job, keys: list[list[str]]) -> Any:
    """Return a function from key to what names the row for a person."""
    named: dict[str, dict[str, Any]] = {}
    if job.labels and keys:
        # A label's statement takes and returns one column of the key: its first.
        columns = sql.load(job.labels).returns
        for row in session.execute(job.labels, {"keys": [key[0] for key in keys]}):
            named[str(row[0])] = dict(zip(columns[1:], row[1:], strict=True))
    return lambda key: named.get(key[0], {})


def guard(plan: Plan, guards: Guards, rows: str) -> None:
    """Raise Refused where the plan holds a refused row or exceeds a bound; `rows` says what they are."""
    if plan.refusals:
        first = plan.refused[0]
        raise Refused(
            f"{plan.refusals:,} of {plan.looked_at:,} {rows} cannot be computed, the first being {first['key']} "
            f"({first['reason']}): complete what is missing, then run again; nothing was changed.",
            plan,
        )
    if guards.max_rows is not None and plan.changes > guards.max_rows:
        raise Refused(
            f"{plan.changes:,} {rows} would change, more than --max-rows {guards.max_rows:,}: "
            f"look at the plan, then raise the bound; nothing was changed.",
            plan,
        )
    for amount in plan.amounts:
        percent = amount.percent
        if guards.max_change is not None and percent is not None and abs(percent) > guards.max_change:
            raise Refused(
                f"The sum in {amount.currency} would change by {plain(round(percent, 2))} %, more than --max-change "
                f"{plain(guards.max_change)}: look at the plan, then raise the bound; nothing was changed.",
                plan,
            )
    if guards.max_row_change is not None and plan.row_percent is not None and plan.row_percent > guards.max_row_change:
        raise Refused(
            f"A row would change by {plain(round(plan.row_percent, 2))} %, more than --max-row-change "
            f"{plain(guards.max_row_change)}: look at the plan, then raise the bound; nothing was changed.",
            plan,
        )
