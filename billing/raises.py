"""Raise list prices by a percentage from an instant on: price changes, written set-based; `reprice` does the rest."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from ops import clock
from ops.engine.lifecycle import Declined
from ops.engine.plan import Refused, plain
from ops.engine.session import Session
from ops.management import display

SHOWN = 10


@dataclass(frozen=True)
class Raise:
    """By how many percent to raise how many of the best-selling services (None: all), since when, and who follows."""

    percent: Decimal
    best_selling: int | None
    since: datetime
    follow: str = "at_once"


@dataclass(frozen=True)
class Line:
    """One service of a raise; `reason` says why it is left out, `next_at` when a later price change takes over."""

    service_id: int
    name: str
    currency: str | None
    units: int
    old_value: Decimal | None
    new_value: Decimal | None
    next_at: datetime | None
    reason: str | None


def now(database: str = "default") -> datetime:
    """Return the server's instant: by a host's own clock a change could still lie in the server's future."""
    found: datetime = Session(database).execute("ops/find_clock.sql")[0][0]
    return found


def plan(wanted: Raise, database: str = "default") -> list[Line]:
    """Return what the raise would make of each service, best-selling first; write nothing."""
    session = Session(database)
    with transaction.atomic(using=database):
        lines = _stage(session, wanted)
        session.execute("billing/drop_raise.sql")
    return lines


def apply(wanted: Raise, shown: list[Line], database: str = "default") -> int:
    """Write the price changes of a plan and return their number; raise Refused where it is no longer true."""
    session = Session(database)
    with transaction.atomic(using=database):
        # Units sold move all the time; what counts is which services get which price.
        if _prices(_stage(session, wanted)) != _prices(shown):
            raise Refused("Services, prices or what sells best changed since the plan was made: run the command again.")
        values = {"since": wanted.since, "follow": wanted.follow}
        written = int(session.execute("billing/merge_raise.sql", values)[0][0])
        session.execute("billing/drop_raise.sql")
    return written


def agreed(answer: bool) -> None:
    """Raise Declined where the answer was no."""
    if not answer:
        raise Declined("Declined: no price change was written.")


def _stage(session: Session, wanted: Raise) -> list[Line]:
    session.execute(
        "billing/stage_raise.sql",
        {"percent": wanted.percent, "best_selling": wanted.best_selling, "since": wanted.since},
    )
    return [Line(*row) for row in session.execute("billing/list_raise.sql")]


def _prices(lines: list[Line]) -> set[tuple[Any, ...]]:
    return {(line.service_id, line.old_value, line.new_value, line.reason) for line in lines}


def raised(lines: list[Line]) -> list[Line]:
    """Return the lines that are not left out."""
    return [line for line in lines if line.reason is None]


def as_json(wanted: Raise, lines: list[Line], written: int) -> dict[str, Any]:
    """Return plan and outcome as one object, money as strings."""
    return {
        "percent": plain(wanted.percent),
        "from": wanted.since.isoformat(),
        "follow": wanted.follow,
        "looked_at": len(lines),
        "changes": len(raised(lines)),
        "written": written,
        "left_out": dict(sorted(Counter(line.reason for line in lines if line.reason).items())),
        "superseded": sum(line.next_at is not None for line in raised(lines)),
        "largest": [
            {
                "service": line.name,
                "currency": line.currency,
                "units": line.units,
                "old": _plain(line.old_value),
                "new": _plain(line.new_value),
            }
            for line in raised(lines)[:SHOWN]
        ],
    }


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def shown(wanted: Raise, lines: list[Line], *, terminal: bool) -> str:
    """Return a plan as a person reads it."""
    changes = raised(lines)
    since = f"{wanted.since.astimezone(clock.zone()):%Y-%m-%d %H:%M:%S %Z}"
    words = [f"{len(changes):,} of {len(lines):,} services rise by {plain(wanted.percent)} % from {since}."]
    words += [f"{count:,} left out: {why}." for why, count in as_json(wanted, lines, 0)["left_out"].items()]
    if superseded := sum(line.next_at is not None for line in changes):
        words.append(f"{superseded:,} of them have a later price change already, which takes over then.")
    if changes:
        rows = [
            (line.name, f"{line.units:,}", line.currency, display.money(line.old_value), display.money(line.new_value))
            for line in changes[:SHOWN]
        ]
        columns = ("service", "units", "currency", "old", "new")
        words.append(display.table("Best-selling first", columns, rows, ("units", "old", "new"), terminal))
    return "\n".join(words)
