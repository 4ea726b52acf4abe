"""One crontab line, read by a strict grammar, and the instants at which it fires in a zone.

Dialects: `celery` (day of month AND day of week; ranges wrap around; Sunday is 0) and `vixie` (Vixie and ISC cron: day
of month OR day of week where neither field begins with `*`; no wrapping; Sunday is 0 or 7; `@daily` and its like).
What Celery reads a prefix of (`1-5-7`, `*/5-10`) is refused here. No clock is read and no database used.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from ops.clock.zones import DAY, FIRST, LAST, instant_of, read_zone, spells

DIALECTS = ("celery", "vixie")
MONTHS = ["january", "february", "march", "april", "may", "june"]
MONTHS += ["july", "august", "september", "october", "november", "december"]
WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of the months, 29 February among them."""
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
ITEM = re.compile(r"(?:(\*)|([0-9]+|[A-Za-z]+)(?:-([0-9]+|[A-Za-z]+))?)(?:/([0-9]+))?")
QUIET = timedelta(days=60 * 366)
"""How long nothing may fire before it is taken for never; 29 February on a Monday is up to 40 years away."""


class Field(NamedTuple):
    """One of the five fields: its name, its values, and the names that they have."""

    name: str
    low: int
    high: int
    names: list[str]

    def number(self, text: str, dialect: str) -> int:
        """Return the number that a text stands for; raise ValueError with what to write instead."""
        top = 7 if self.name == "day of week" and dialect == "vixie" else self.high
        if not text.isdecimal():
            lowered = text.lower()
            for at, name in enumerate(self.names):
                if lowered == name[:3] or (lowered == name and dialect == "celery"):
                    return at + self.low
            some = f", or a name such as {self.names[1][:3]}" if self.names else ""
            raise ValueError(f"{text!r} is no name: write a number from {self.low} to {top}{some}")
        value = int(text)
        if not self.low <= value <= top:
            sunday = ", where Sunday is 0" if top == 6 and value == 7 else ""
            raise ValueError(f"{value} is out of range: write a number from {self.low} to {top}{sunday}")
        return value

    def item(self, text: str, dialect: str) -> set[int]:
        """Return the values of one part between commas, where Sunday may be 7."""
        match = ITEM.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} is not a number, a range or a step: write {self.low}, {self.low}-{self.high}, *, */2 or "
                f"{self.low}-{self.high}/2, joined by commas"
            )
        star, first, last, step = match.groups()
        if step is not None and not int(step):
            raise ValueError(f"{text!r} has the step 0: write a step of at least 1, or none")
        if star:
            values = list(range(self.low, self.high + 1))
        else:
            low = self.number(first, dialect)
            high = low if last is None else self.number(last, dialect)
            if step is not None and last is None:
                raise ValueError(f"{text!r} has a step without a range: write {low}-{self.high}/{step}, or {low}")
            values = list(range(low, high + 1))
            if high < low:
                if dialect == "vixie":
                    raise ValueError(
                        f"{text!r} goes backwards, which Vixie cron does not read: "
                        f"write {_forwards(low, high, self.low, 6 if self.names == WEEKDAYS else self.high)}"
                    )
                values = [*range(low, self.high + 1), *range(self.low, high + 1)]
        return set(values[:: int(step or 1)])

    def values(self, text: str, dialect: str) -> frozenset[int]:
        """Return the values of a whole field, Sunday as 0."""
        found = set[int]().union(*(self.item(part, dialect) for part in text.split(",")))
        return frozenset(value % 7 for value in found) if self.names == WEEKDAYS else frozenset(found)


def _forwards(low: int, high: int, least: int, most: int) -> str:
    """Return a range that wraps around as two that do not."""
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ((least, high), (low, most)))


FIELDS = (
    Field("minute", 0, 59, []),
    Field("hour", 0, 23, []),
    Field("day of month", 1, 31, []),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 6, WEEKDAYS),
)


class Reading(NamedTuple):
    """A local time at which a line is due: when that is, whether clocks skip it, whether they have it again.

    The instant of a skipped time is that at which the gap ends.
    """

    local: datetime
    instant: datetime
    skipped: bool
    again: bool


@dataclass(frozen=True)
class Crontab:
    """One crontab line. Immutable; equal where text and dialect are."""

    fields: tuple[str, str, str, str, str]
    dialect: str
    minutes: frozenset[int] = field(compare=False, repr=False)
    hours: frozenset[int] = field(compare=False, repr=False)
    days: frozenset[int] = field(compare=False, repr=False)
    months: frozenset[int] = field(compare=False, repr=False)
    weekdays: frozenset[int] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, dialect: str = "celery") -> "Crontab":
        """Read a line of five fields. Raises ValueError that says which field, what was found and what to write.

        In the dialect of Celery, a line none of whose dates exist (30 February) is refused, as by Celery itself.
        """
        if dialect not in DIALECTS:
            raise ValueError(f"{dialect!r} is not a dialect of crontabs: write celery or vixie.")
        parts = _expanded(text, dialect).split()
        if len(parts) != len(FIELDS):
            raise ValueError(
                f"{text!r} is no crontab: it has {len(parts)} field{'' if len(parts) == 1 else 's'}; "
                "write 5, minute hour day-of-month month day-of-week."
            )
        found = []
        for kind, part in zip(FIELDS, parts, strict=True):
            try:
                found.append(kind.values(part, dialect))
            except ValueError as exc:
                raise ValueError(f"{text!r} is no crontab: in its {kind.name}, {exc}.") from exc
        minute, hour, day, month, weekday = parts
        made = cls((minute, hour, day, month, weekday), dialect, *found)
        if dialect == "celery" and made.fires_never:
            raise ValueError(f"{text!r} never fires: {made.impossible}; Celery refuses it.")
        return made

    def __str__(self) -> str:
        return " ".join(self.fields)

    @property
    def either(self) -> bool:
        """Whether the day of month OR the day of week is enough."""
        return self.dialect == "vixie" and not self.fields[2].startswith("*") and not self.fields[4].startswith("*")

    @property
    def wild_hours(self) -> bool:
        """Whether the hour is `*` or `*/n`, so that it follows elapsed time when clocks change."""
        return self.fields[1].startswith("*")

    @property
    def fires_never(self) -> bool:
        """Whether none of its dates exist in any year."""
        # Each date that exists, 29 February too, is on each day of the week in some year.
        return not self.either and not any(min(self.days) <= LENGTHS[month - 1] for month in self.months)

    @property
    def impossible(self) -> str:
        """Say which dates do not exist."""
        names = [MONTHS[month - 1].capitalize() for month in sorted(self.months)]
        return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} no day {min(self.days)}"

    @cached_property
    def times(self) -> tuple[int, ...]:
        """Minutes of the day, counted from midnight, in their order."""
        return tuple(60 * hour + minute for hour in sorted(self.hours) for minute in sorted(self.minutes))

    def on(self, day: date) -> bool:
        """Tell whether it fires on a date."""
        if day.month not in self.months:
            return False
        both = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return any(both) if self.either else all(both)

    def matches(self, local: datetime) -> bool:
        """Tell whether it fires in the minute of a local time."""
        return local.minute in self.minutes and local.hour in self.hours and self.on(local.date())

    def between(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the local times, naive, from `begin` to before `end` at which it fires."""
        day = begin.date()
        while day <= end.date():
            if day.month not in self.months:
                day = _next_month(day)
                continue
            if self.on(day):
                midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local times have no zone
                for minutes in self.times:
                    local = midnight + timedelta(minutes=minutes)
                    if begin <= local < end:
                        yield local
            day += DAY

    def readings(self, zone: "str | tzinfo", after: datetime) -> Iterator[Reading]:
        """Yield the local times in a zone, strictly after an instant, at which it is due, skipped and doubled ones too.

        Ends where nothing has come for 60 years.
        """
        after = instant_of(after)
        if self.fires_never:
            return
        begin = max(after, FIRST).replace(second=0, microsecond=0) - 2 * DAY
        before: timedelta | None = None
        reached, heard = datetime.min, begin  # noqa: DTZ901 - local times have no zone
        for spell in spells(read_zone(zone), begin, LAST):
            local_begin, local_end = (at.replace(tzinfo=None) + spell.offset for at in (spell.begin, spell.end))
            if before is not None and spell.offset > before and spell.begin > after:
                for local in self.between(spell.begin.replace(tzinfo=None) + before, local_begin):
                    yield Reading(local, spell.begin, skipped=True, again=False)
            for local in self.between(local_begin, local_end):
                heard = instant = (local - spell.offset).replace(tzinfo=UTC)
                if instant > after:
                    yield Reading(local, instant, skipped=False, again=local < reached)
            before, reached = spell.offset, max(reached, local_end)
            if spell.end - heard > QUIET:
                return

    def instants(
        self, zone: "str | tzinfo", after: datetime, upto: datetime | None = None, *, civil: bool = False
    ) -> Iterator[datetime]:
        """Yield the instants, in UTC, at which it fires in a zone: strictly after `after`, up to and with `upto`.

        It fires in each minute whose local reading matches: not at a time that clocks skip, twice at one that they
        have twice. `civil` follows ISC cron's rule instead, for hours that are no wildcard: what clocks skip is due
        once, at the instant that ends the gap, and what they have twice is due the first time only.
        """
        upto = None if upto is None else instant_of(upto)
        civil = civil and not self.wild_hours
        last = None
        for reading in self.readings(zone, after):
            if upto is not None and reading.instant > upto:
                return
            if (reading.again if civil else reading.skipped) or reading.instant == last:
                continue
            last = reading.instant
            yield reading.instant


def next_firings(
    expression: str, zone: "str | tzinfo", after: datetime, count: int, dialect: str = "celery"
) -> list[datetime]:
    """Return the next instants, in the zone, at which a line fires there: strictly after `after`, at most `count`.

    A time that clocks skip is none, one that they have twice is two. There are fewer than `count` only where nothing
    comes any more. Raises ValueError for what is no crontab or no zone, and for an `after` that is naive or has a
    zone of pytz attached by `tzinfo=`.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ValueError(f"{count!r} is not a number of firings: give a whole number of at least 0.")
    line, place = Crontab.parse(expression, dialect), read_zone(zone)
    found = islice(line.instants(place, instant_of(after)), count)
    return [instant.astimezone(place) for instant in found]


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _expanded(text: str, dialect: str) -> str:
    """Return the five fields that a word such as @daily stands for, or the text itself."""
    word = text.strip().lower()
    if not word.startswith("@"):
        return text
    if word == "@reboot":
        raise ValueError("'@reboot' has no time, so there is nothing to compute: write five fields.")
    if word not in MACROS:
        raise ValueError(f"{text!r} is no crontab: write five fields, or one of {', '.join(MACROS)}.")
    if dialect == "celery":
        raise ValueError(f"{text!r} is a word of Vixie cron that Celery does not have: write {MACROS[word]!r}.")
    return MACROS[word]
