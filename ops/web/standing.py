"""How schedules stand: when each is due by its stored row, and since when a slot of it waits. It writes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps

from ops.clock import rows, schedules
from ops.clock.policy import Frontier, next_instants
from ops.models import Schedule


@dataclass(frozen=True)
class Standing:
    """A schedule's rule ('' while it is off), the oldest slot that is due and not settled, and those to come.

    `row` is that of django-celery-beat, None where it has none or the package is not installed. Without a declaration
    nobody starts its slots, so none waits.
    """

    rule: str
    waiting: datetime | None
    coming: tuple[datetime, ...]
    row: Any = None
    declaration: schedules.Schedule | None = None


def standings(kept: Iterable[Schedule], now: datetime, count: int = 1) -> dict[str, Standing]:
    """Return how each of these schedules stands, with so many of its next slots; one statement for all rows of beat."""
    every, declared, stored = list(kept), _declared(), None
    if apps.is_installed("django_celery_beat"):
        stored = rows.named([one.name for one in every]) if every else {}
    return {one.name: _standing(one, declared.get(one.name), stored, now, count) for one in every}


def _declared() -> dict[str, schedules.Schedule]:
    """Return the declarations by name; none where one is wrong, for then none is started, and the checks say why."""
    try:
        return {one.name: one for one in schedules.declared()}
    except schedules.BrokenSchedule:
        return {}


def _standing(
    kept: Schedule, declaration: schedules.Schedule | None, stored: dict[str, Any] | None, now: datetime, count: int
) -> Standing:
    frontier, row = Frontier.read(kept.settled_at, kept.seen_at, kept.rule), None
    if stored is not None:
        row = stored.get(kept.name)
        frontier = frontier.observed(rows.rule_of(row), row.date_changed if row is not None else None, now)
    coming = next_instants(frontier.rule, now, count)
    waiting = _oldest(frontier, now) if declaration else None
    return Standing(frontier.rule, waiting, tuple(coming), row, declaration)


def _oldest(frontier: Frontier, now: datetime) -> datetime | None:
    """Return the oldest slot that is due, without looking at those after it: there may be years of them."""
    ends = [since for since, _ in frontier.rules[1:]] + [now]
    for (since, rule), end in zip(frontier.rules, ends, strict=True):
        for slot in next_instants(rule, max(since, frontier.settled_at), 1):
            if slot <= end:
                return slot
    return None
