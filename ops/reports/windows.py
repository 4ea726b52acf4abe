"""Time windows: named stretches of whole local days, as half-open stretches of instants.

A window is made of local days and says both its dates and its instants: a column of dates is compared with the dates,
one of instants with the instants. Nothing here reads a clock: "today" is the local day of an instant that is handed in.

A day begins at the first instant of its local date, which is not always 00:00: where clocks go forward at midnight it
is the instant after the gap; where 00:00 comes twice, the first of the two; and a date that a zone left out has no
instants. So a window has no hole and shares no instant with the next, whatever clocks do.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ops.clock.zones import instant_of

DAY = timedelta(days=1)

_RANGE = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})")
_LAST = re.compile(r"last_(\d{1,6})_(days|weeks|months|quarters|years)")
_UNITS = ("week", "month", "quarter", "year", "fiscal_year")
NAMED = ("today", "yesterday", *(f"{which}_{unit}" for unit in _UNITS for which in ("this", "last")))
"""The windows that have a name of their own."""


class BadChoice(ValueError):
    """What was asked of a report is not there to be had; the message says what is."""


class BadWindow(BadChoice):
    """A name is no window's; the message lists what there is."""


@dataclass(frozen=True)
class Window:
    """Whole local days from `first` up to `last`, and the instants from `starts_at` up to `ends_at`; half-open both."""

    name: str
    starts_at: datetime
    ends_at: datetime
    first: date
    last: date


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local date, in UTC; of a date that the zone left out, that of the next one.

    Raises OverflowError at the ends of time.
    """
    wall = datetime.combine(day, time())
    # Of a time that comes twice, fold 0 is the first. Of one that is skipped, it lies after the gap, and fold 1 before.
    later = wall.replace(tzinfo=zone).astimezone(UTC)
    if later.astimezone(zone).replace(tzinfo=None) == wall:
        return later
    earlier = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    low, high = 0, int((later - earlier).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (earlier + timedelta(seconds=middle)).astimezone(zone).date() < day:
            low = middle
        else:
            high = middle
    return earlier + timedelta(seconds=high)


def today(instant: datetime, zone: ZoneInfo) -> date:
    """Return the local day that an instant is in: its local date, or the next one's where that has begun before.

    In St. John's clocks went back at 00:01, into the evening of the day before, which was over by then.
    """
    day = instant.astimezone(zone).date()
    return day + DAY if midnight(day + DAY, zone) <= instant else day


def resolve(
    names: Sequence[str], as_of: datetime, zone: ZoneInfo, *, fiscal_start: int = 1, week_start: int = 0
) -> tuple[Window, ...]:
    """Return the windows of these names, in their order, as of an instant.

    The names: today, yesterday, this_ and last_ week, month, quarter, year and fiscal_year; last_N_days (and _weeks,
    _months, _quarters, _years: N whole ones up to and with the present one); and A..B, two dates, the second excluded.
    A fiscal year begins with the first day of the month `fiscal_start`; a week with the weekday `week_start`, Monday
    being 0. A window that reaches into the future ends there all the same.

    Raises BadWindow for any other name, one that comes twice, and days at the ends of time.
    """
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise BadWindow(f"The window {twice[0]!r} is named twice; name it once.")
    try:
        calendar = _Calendar(today(instant_of(as_of), zone), fiscal_start, week_start)
    except OverflowError as exc:
        raise BadWindow(f"{as_of.isoformat()} lies at an end of time in {zone.key}; name a nearer instant.") from exc
    found = []
    for name in names:
        try:
            first, last = calendar.days(name)
            found.append(Window(name, midnight(first, zone), midnight(last, zone), first, last))
        except OverflowError as exc:
            raise BadWindow(f"The window {name!r} lies beyond the years 1 to 9999; name a nearer one.") from exc
    return tuple(found)


class _Calendar:
    """The days of windows, seen from one day."""

    def __init__(self, today: date, fiscal_start: int, week_start: int) -> None:
        self.today = today
        self.fiscal_start = fiscal_start
        self.week_start = week_start

    def days(self, name: str) -> tuple[date, date]:
        """Return the first day of a window and the day after its last."""
        if name == "today":
            return self.today, self.today + DAY
        if name == "yesterday":
            return self.today - DAY, self.today
        if name in NAMED:
            which, _, unit = name.partition("_")
            back = 0 if which == "this" else -1
            return self._begin(unit, back), self._begin(unit, back + 1)
        if match := _LAST.fullmatch(name):
            count, unit = int(match[1]), match[2].removesuffix("s")
            if count:
                return self._begin(unit, 1 - count), self._begin(unit, 1)
        if match := _RANGE.fullmatch(name):
            return _range(name, match[1], match[2])
        raise BadWindow(
            f"There is no window {name!r}; there is: {', '.join(NAMED)}, last_N_days (_weeks, _months, _quarters, "
            "_years) such as last_30_days, and two dates, the second excluded, such as 2026-01-01..2026-02-01."
        )

    def _begin(self, unit: str, steps: int) -> date:
        """Return the first day of the present day, week .., or of one so many steps later."""
        simple: dict[str, Callable[[], date]] = {
            "day": lambda: self.today + steps * DAY,
            "week": lambda: self.today + (7 * steps - (self.today.weekday() - self.week_start) % 7) * DAY,
            "month": lambda: self._month(self.today.month, steps),
            "quarter": lambda: self._month((self.today.month - 1) // 3 * 3 + 1, 3 * steps),
            "year": lambda: self._month(1, 12 * steps),
            # One that begins in a later month began last year.
            "fiscal_year": lambda: self._month(
                self.fiscal_start, 12 * (steps - (1 if self.fiscal_start > self.today.month else 0))
            ),
        }
        return simple[unit]()

    def _month(self, month: int, later: int) -> date:
        """Return the first day of a month of this year, or of so many months later."""
        year, index = divmod(self.today.year * 12 + month - 1 + later, 12)
        if not date.min.year <= year <= date.max.year:
            raise OverflowError(year)
        return date(year, index + 1, 1)


def _range(name: str, first: str, last: str) -> tuple[date, date]:
    try:
        days = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as exc:
        raise BadWindow(f"The window {name!r} names a day that no calendar has: {exc}.") from exc
    if days[0] >= days[1]:
        raise BadWindow(f"The window {name!r} is empty: the second day is excluded, so it is later than the first.")
    return days
