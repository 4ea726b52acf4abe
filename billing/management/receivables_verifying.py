"""Two answers to one question held against one another: the statement's, the loop's, and what was saved."""

from collections.abc import Sequence
from decimal import Decimal

from django.core.management.base import CommandError

from billing.receivables_account import Account, Receivables, written
from ops.management import display
from ops.management.engine_command import FAILED, EngineCommand

TOLD = 20
"""So many differences are named on stderr."""

FACTS = (
    *("name", "zone", "currency", "today", "minor_units", "partners"),
    *("limits", "limit", "left", "over", "limits_lacking", "unknown"),
)
"""What two accounts must have alike beside their figures."""


def differences(found: Receivables, wanted: Receivables, names: tuple[str, str] = ("statement", "loop")) -> list[str]:
    """Return a line for each figure in which two answers to one question differ, and for each row that one lacks."""
    one, other = names
    lines = []
    if found.as_of != wanted.as_of:
        lines.append(f"as of: {one} {written(found.as_of)}, {other} {written(wanted.as_of)}")
    ours, theirs = _rows(found), _rows(wanted)
    for key in {**theirs, **ours}:
        those, these = ours.get(key, []), theirs.get(key, [])
        who = _who([*those, *these][0])
        if len(those) == len(these) == 1:
            lines += _of_account(who, those[0], these[0], names)
        else:
            counts = [display.count(len(rows), "row") for rows in (those, these)]
            lines.append(f"{who}: {one} {counts[0]}, {other} {counts[1]}")
    return lines


def _rows(found: Receivables) -> dict[tuple[int | None, str], list[Account]]:
    rows: dict[tuple[int | None, str], list[Account]] = {}
    for account in (*found.partners, *found.totals):
        rows.setdefault((account.partner, account.currency), []).append(account)
    return rows


def _who(account: Account) -> str:
    if account.partner is None:
        return f"total in {account.currency}"
    return f"{account.name} ({account.partner}) in {account.currency}"


def _of_account(who: str, found: Account, wanted: Account, names: tuple[str, str]) -> list[str]:
    one, other = names
    lines = [
        f"{who}, {name}: {one} {_all_of(found, name)}, {other} {_all_of(wanted, name)}"
        for name in {**wanted.figures, **found.figures}
        if found.figures.get(name) != wanted.figures.get(name)
    ]
    lines += [
        f"{who}, {name}: {one} {_fact(found, name)}, {other} {_fact(wanted, name)}"
        for name in FACTS
        if getattr(found, name) != getattr(wanted, name)
    ]
    if found.odd != wanted.odd:
        lines.append(f"{who}: the amounts that are named as lacking differ")
    return lines


def _all_of(account: Account, name: str) -> str:
    one = account.figures.get(name)
    if one is None:
        return "nothing"
    return f"{account.text(one.amount)} of {display.count(one.orders, 'order')}, lacking {one.lacks:,}"


def _fact(account: Account, name: str) -> object:
    value = getattr(account, name)
    return account.text(value) if isinstance(value, Decimal) else value


def hold(command: EngineCommand, found: Receivables, wanted: Receivables, *, quiet: bool) -> None:
    """Raise CommandError where the statement and the loop differ, after saying where."""
    if number := _said(command, differences(found, wanted)):
        raise CommandError(
            f"{number} of the statement differ from the loop over orders: use none of them, and report this with the "
            "output of --json.",
            returncode=FAILED,
        )
    if not quiet:
        accounts = display.count(len(found.partners), "partner")
        command.stdout.write(f"\nComputed again by the loop over orders: 0 figures of {accounts} differ.")


def hold_saved(command: EngineCommand, saved: Receivables, verified: Receivables) -> None:
    """Raise CommandError where what was saved is not what was verified before, after saying where."""
    if number := _said(command, differences(saved, verified, ("saved", "verified"))):
        raise CommandError(
            f"{number} that were saved differ from those that were verified: something was written in between. "
            f"'manage.py receivables --as-of {written(verified.as_of)} --verify --save' verifies and saves them again.",
            returncode=FAILED,
        )


def _said(command: EngineCommand, differing: Sequence[str]) -> str:
    for line in differing[:TOLD]:
        command.stderr.write(line, str)
    return display.count(len(differing), "figure") if differing else ""
