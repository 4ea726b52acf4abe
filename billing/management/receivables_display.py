"""Receivables as people read them at a terminal, and as CSV: partners side by side, one by itself, and its orders."""

import csv
from collections.abc import Iterable, Sequence
from decimal import Decimal
from io import StringIO
from itertools import groupby
from typing import TYPE_CHECKING, Any

from billing import receivables
from billing.receivables_account import (
    FIXED,
    LATER,
    PENDING,
    REFUNDS,
    TODAY,
    TOMORROW,
    Account,
    Figure,
    Receivables,
    added,
    written,
)
from ops import sql
from ops.engine.plan import plain
from ops.management import display

if TYPE_CHECKING:
    from billing.receivables_comparing import Changes, Compared
    from billing.receivables_loop import Entry

SIDE_BY_SIDE = 4
"""So many amounts fit beside a name and a currency into 80 columns."""

TOTALS_SIDE_BY_SIDE = 3
"""So many amounts of 20 digits do."""

MOST_CHANGED = 5
"""So many partners of each currency are named in a comparison."""

UNKNOWN = "unknown"

LACKS = "* The sum lacks amounts: their rate is missing, or their order unknown."

OF_ORDER = ("order", "type", "reference", "status", "figure", "due_on", "amount", "currency", "day", "rate", "into")
"""What is told of an order; behind it, what it is in the currency that is reported in."""


def statement() -> str:
    """Return the statement as it stands in its file."""
    return sql.load(receivables.STATEMENT).text.rstrip()


def title(found: Receivables) -> str:
    """Say as of when it is, and by which rates."""
    rates = "rates at the moment of sale" if found.rates == "sale" else "rates as of the day"
    within = f", all in {found.currency}" if found.currency else ""
    return f"Receivables as of {written(found.as_of)}, {rates}{within}."


def amount(account: Account, value: Decimal | None, lacks: int = 0) -> str:
    """Return an amount with the decimals of its currency, marked where the sum lacks some; ? where it lacks all."""
    if value is None:
        return "?" if lacks else "-"
    return f"{display.money(value, account.minor_units)}{'*' if lacks else ''}"


def tables(found: Receivables, *, terminal: bool) -> str:
    """Return one account as facts, or several side by side: what is due, overdue, and credit; then totals."""
    lines = [display.wrapped(title(found), terminal=terminal)]
    if len(found.partners) == 1:
        lines += ["", facts(found.partners[0], terminal=terminal)]
        return "\n".join([*lines, *(["", LACKS] if found.partners[0].left_misses else [])])
    told = [one for one in found.partners if _says_something(one)]
    lines.append(_counted(len(found.partners), len(told)))
    if told:
        lines.append(_table("To pay", (PENDING, TODAY, TOMORROW, LATER), told, terminal))
        ages = [name for name in told[0].figures if name not in FIXED]
        for first in range(0, len(ages), SIDE_BY_SIDE):
            lines.append(_table("Overdue, by days", ages[first : first + SIDE_BY_SIDE], told, terminal))
        lines.append(_credit(told, terminal))
    for first in range(0, len(found.totals), TOTALS_SIDE_BY_SIDE):
        lines.append(_totals(found.totals[first : first + TOTALS_SIDE_BY_SIDE], terminal))
    if found.lacks:
        lines += ["", LACKS]
    return "\n".join(lines)


def _totals(totals: Sequence[Account], terminal: bool) -> str:
    """Return totals with a column for each currency: they may be too large to stand in a line."""

    def sums(account: Account) -> dict[str, str]:
        figures = {name: account.figures[name] for name in (PENDING, TODAY, TOMORROW, LATER)}
        figures["overdue"] = account.overdue
        figures |= {f"  {name}": one for name, one in account.figures.items() if name not in FIXED}
        figures[REFUNDS] = account.figures[REFUNDS]
        return {
            "partners": f"{account.partners:,}",
            **{name: amount(account, one.amount, one.lacks) for name, one in figures.items()},
            **credit(account),
        }

    columns = [sums(account) for account in totals]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    currencies = [account.currency for account in totals]
    return display.table("Totals", ("", *currencies), rows, currencies, terminal)


def credit(account: Account) -> dict[str, str]:
    """Return used, limit, left and over, each marked where it would be another if all were known."""
    return {
        "used": amount(account, account.used.amount, account.used_misses),
        "limit": amount(account, account.limit, account.limits_lacking),
        "left": amount(account, account.left, _unsure(account)),
        "over": amount(account, account.over, _unsure(account)),
    }


def _unsure(account: Account) -> int:
    """Return how much is missing to what is left; nothing where there is no limit for anything to be left of."""
    return account.limits_lacking if account.left is None else account.left_misses


def _says_something(account: Account) -> bool:
    return bool(any(one.orders for one in account.figures.values()) or account.lacks)


def _counted(partners: int, told: int) -> str:
    if not partners:
        return "There are no partners."
    silent = partners - told
    if not silent:
        return f"{display.count(partners, 'partner')}."
    owes, due = ("owes", "is due") if silent == 1 else ("owe", "are due")
    return f"{display.count(partners, 'partner')}. {silent:,} of them {owes} nothing and {due} nothing."


def _name(account: Account) -> str:
    return f"{account.name} ({account.partner})"


def _table(heading: str, names: Sequence[str], accounts: Sequence[Account], terminal: bool) -> str:
    rows = []
    for account in accounts:
        figures = [account.figures[name] for name in names]
        rows.append([_name(account), account.currency, *(amount(account, one.amount, one.lacks) for one in figures)])
    return display.table(heading, ("partner", "in", *names), rows, names, terminal)


def _credit(accounts: Sequence[Account], terminal: bool) -> str:
    rows = []
    for account in accounts:
        refunds = account.figures[REFUNDS]
        left = None if account.left is None or account.over is None else added(account.left, -account.over)
        rows.append(
            [
                _name(account),
                account.currency,
                amount(account, refunds.amount, refunds.lacks),
                *(credit(account)[name] for name in ("limit", "used")),
                amount(account, left, _unsure(account)),
            ]
        )
    columns = ("refunds", "limit", "used", "left")
    return display.table(
        "Refunds due, and credit (below zero: over)", ("partner", "in", *columns), rows, columns, terminal
    )


def facts(account: Account, *, terminal: bool) -> str:
    """Return one account, a line for each figure."""

    def told(one: Figure) -> str:
        lacking = f", lacks {one.lacks:,} of them" if one.lacks else ""
        return f"{amount(account, one.amount)} {account.currency} of {display.count(one.orders, 'order')}{lacking}"

    lines: list[tuple[str, object]] = [
        ("partner", f"{account.name} ({account.partner}), {account.zone}, where it is {account.today}"),
        *((name, told(account.figures[name])) for name in (PENDING, TODAY, TOMORROW, LATER)),
        ("overdue", told(account.overdue)),
        *((f"  {name}", told(one)) for name, one in account.figures.items() if name not in FIXED),
        (REFUNDS, told(account.figures[REFUNDS])),
        ("used", f"{credit(account)['used']} {account.currency}"),
    ]
    if account.limits_lacking:
        lines.append(("limit", "known, but no rate to convert it by"))
    elif account.limit is None:
        lines.append(("limit", "none"))
    else:
        lines += [(name, f"{credit(account)[name]} {account.currency}") for name in ("limit", "left", "over")]
    if account.unknown:
        lines.append((UNKNOWN, f"{display.count(account.unknown, 'order')} in no figure"))
    return display.facts(lines, terminal=terminal)


def as_csv(found: Receivables) -> str:
    """Return a row for each partner; totals are not among them, so that a column can be added up."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ages = [f"overdue {name}" for name in (found.partners[0].figures if found.partners else ()) if name not in FIXED]
    names = ["pending", "today", "tomorrow", "later", "overdue", *ages, "refunds"]
    limits = ["used", "limit", "left", "over"]
    writer.writerow(["partner", "name", "zone", "day", "currency", *names, *limits, "lacks", "unknown"])
    for account in found.partners:
        figures = [account.figures[name] for name in (PENDING, TODAY, TOMORROW, LATER)] + [account.overdue]
        figures += [one for name, one in account.figures.items() if name not in FIXED] + [account.figures[REFUNDS]]
        amounts = [one.amount for one in (*figures, account.used)] + [account.limit, account.left, account.over]
        writer.writerow(
            [account.partner, account.name, account.zone, account.today, account.currency]
            + [account.text(one) for one in amounts]
            + [account.lacks - account.unknown, account.unknown]
        )
    return out.getvalue()


def narrowed(entries: Iterable["Entry"], to: str) -> list["Entry"]:
    """Return the entries of a figure ("overdue": of any age), those that are in no sum ("lacking"), or all."""
    if to == "overdue":
        return [one for one in entries if one.figure not in ("", *FIXED)]
    if to == "lacking":
        return [one for one in entries if one.converted is None]
    return [one for one in entries if to in ("all", one.figure)]


def orders_as_json(found: Receivables, account: Account, entries: Sequence["Entry"]) -> dict[str, Any]:
    """Return a partner's account with the orders that it is made of."""
    told = [
        {
            "order": one.order,
            "type": one.type,
            "reference": one.reference,
            "status": one.status,
            "figure": one.figure or None,
            "due_on": one.due_on.isoformat(),
            "amount": _exact(one.amount),
            "currency": one.currency,
            "day": one.day and one.day.isoformat(),
            "rate": _exact(one.rate),
            "into": _exact(one.into),
            "converted": account.text(one.converted),
        }
        for one in entries
    ]
    return {**{name: value for name, value in found.as_json().items() if name != "totals"}, "orders": told}


def orders_as_csv(account: Account, entries: Sequence["Entry"]) -> str:
    """Return a row for each order of a partner that counts."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*OF_ORDER, "converted", "reporting"])
    for one in entries:
        values = [one.order, one.type, one.reference, one.status, one.figure or UNKNOWN, one.due_on]
        values += [_exact(one.amount), one.currency, one.day, _exact(one.rate), _exact(one.into)]
        writer.writerow([*values, account.text(one.converted), account.currency])
    return out.getvalue()


def orders(found: Receivables, account: Account, entries: Sequence["Entry"], of: str, *, terminal: bool) -> str:
    """Return the orders of a partner with their amounts, rates and what they are in its currency, and their sum."""
    named = "" if of == "all" else f", {of}"
    columns = ("order", "counts as", "due", "amount", "", "rate", account.currency)
    rows = [
        (
            f"{one.type} {one.reference}",
            one.figure or UNKNOWN,
            one.due_on,
            display.money(one.amount),
            one.currency,
            _rate(one),
            display.money(one.converted, account.minor_units),
        )
        for one in entries
    ]
    sums = {name: Decimal(0) for name in ("owed", REFUNDS)}
    for one in entries:
        if one.figure:
            kind = REFUNDS if one.figure == REFUNDS else "owed"
            sums[kind] = added(sums[kind], one.converted or Decimal(0))
    heading = f"{account.name} ({account.partner}): {display.count(len(entries), 'amount')}{named}"
    owed, refunds = (f"{amount(account, sums[kind])} {account.currency}" for kind in ("owed", REFUNDS))
    lines = [display.wrapped(title(found), terminal=terminal)]
    lines.append(display.table(heading, columns, rows, ("amount", "rate", account.currency), terminal))
    return "\n".join([*lines, "", f"Owed {owed}, to be refunded {refunds}."])


def _rate(one: "Entry") -> str:
    """Return by what an amount is multiplied, as the two rates that make it."""
    if one.day is None:
        return ""
    return f"{_exact(one.into) or '?'} / {_exact(one.rate) or '?'}"


def _exact(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def comparison(found: Receivables, compared: "Compared", *, terminal: bool) -> str:
    """Return what has changed since a saved result: the totals, and the partners whose credit in use changed most."""
    by_run = "" if compared.run is None else f" by run {compared.run}"
    lines = [f"\nCompared with {written(compared.then)}, as saved{by_run}."]
    columns = ("then", "now", "difference")
    decimals = {one.currency: one.minor_units for one in (*found.partners, *found.totals)}
    rows = []
    for currency, changes in compared.totals.items():
        rows += [(currency, name, *_change(changes, name, decimals.get(currency, 0))) for name in changes.figures]
    if rows:
        lines.append(display.table("Totals", ("in", "", *columns), rows, columns, terminal))
    changed = [(one, compared.partners[one.partner]) for one in found.partners if one.partner is not None]
    changed = [(one, changes) for one, changes in changed if changes.figures["used"].difference]
    # Amounts of two currencies are not larger or smaller than one another.
    changed.sort(key=lambda pair: (pair[0].currency, -abs(pair[1].figures["used"].difference)))
    largest = [pair for _, pairs in groupby(changed, lambda pair: pair[0].currency) for pair in [*pairs][:MOST_CHANGED]]
    rows = [(_name(one), one.currency, *_change(changes, "used", one.minor_units)) for one, changes in largest]
    if rows:
        of = f"the {MOST_CHANGED} largest changes in each currency, of {len(changed):,}"
        of = of if len(changed) > len(rows) else "what changed"
        lines.append(display.table(f"Owed by partner: {of}", ("partner", "in", *columns), rows, columns, terminal))
    elif found.partners:
        lines.append("\nNo partner owes more or less than then.")
    lacking = sum(changes.lacks for changes in compared.partners.values())
    if lacking or any(changes.lacks for changes in compared.totals.values()):
        which = f" of {display.count(lacking, 'partner')}" if lacking else ""
        lines.append(f"\n* Amounts{which} were or are in no sum: what changed is not certain.")
    return "\n".join(lines)


def _change(changes: "Changes", name: str, minor_units: int) -> tuple[str, ...]:
    one = changes.figures[name]
    sign = "+" if one.difference > 0 else ""
    told = (
        (display.money(one.then, minor_units), changes.then_lacks),
        (display.money(one.now, minor_units), changes.now_lacks),
        (f"{sign}{display.money(one.difference, minor_units)}", changes.lacks),
    )
    return tuple(f"{text}{'*' if lacks else ''}" for text, lacks in told)
