"""What reports ought to come to, told naively: the day of each row, then a loop over rows. No window has edges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)

Row = dict[str, Any]

PECULIAR = (
    ("America/Sao_Paulo", date(2018, 11, 4)),  # 00:00 is skipped
    ("America/Sao_Paulo", date(2018, 2, 18)),  # 24:00 becomes 23:00
    ("Asia/Beirut", date(2022, 3, 27)),  # 00:00 is skipped
    ("Asia/Beirut", date(2021, 10, 31)),
    ("Africa/Cairo", date(2014, 5, 16)),  # 00:00 is skipped
    ("Africa/Cairo", date(2010, 8, 11)),
    ("America/Havana", date(2019, 3, 10)),  # 00:00 is skipped
    ("America/Havana", date(2019, 11, 3)),  # 00:00 comes twice
    ("America/St_Johns", date(2010, 11, 7)),  # 00:01 becomes 23:01 of the day before
    ("America/Asuncion", date(2018, 10, 7)),
    ("Asia/Tehran", date(2019, 3, 22)),
    ("Asia/Amman", date(2020, 3, 27)),
    ("Atlantic/Azores", date(2021, 10, 31)),  # 00:00 comes twice
    ("Atlantic/Azores", date(2021, 3, 28)),  # 00:00 is skipped
    ("Pacific/Apia", date(2011, 12, 30)),  # a day that never was
    ("Pacific/Kwajalein", date(1993, 8, 21)),  # the same
    ("Antarctica/Troll", date(2020, 3, 29)),
    ("Australia/Lord_Howe", date(2021, 4, 4)),
    ("Europe/Berlin", date(2020, 10, 25)),
    ("Asia/Kathmandu", date(1986, 1, 1)),
    ("Asia/Seoul", date(1988, 5, 8)),
    ("UTC", date(2020, 2, 29)),
)
"""Zones, and days at whose beginning clocks do something odd."""


def day_of(instant: datetime, zone: ZoneInfo) -> date:
    """Return the local day of an instant: of all that began by then the latest, minute by minute.

    Where clocks go back over midnight, the day before is not taken up again.
    """
    here = instant.astimezone(zone)
    if all((instant - timedelta(hours=h)).astimezone(zone).utcoffset() == here.utcoffset() for h in range(1, 27)):
        return here.date()
    return max((instant - m * MINUTE).astimezone(zone).date() for m in range(26 * 60))


def holds(name: str, day: date, today: date, *, fiscal_start: int = 1, week_start: int = 0) -> bool:
    """Tell whether a day is in a window, seen from another day."""
    number: dict[str, Callable[[date], int]] = {
        "day": lambda d: d.toordinal(),
        "week": lambda d: (d.toordinal() - 1 - week_start) // 7,  # the first day of all was a Monday
        "month": lambda d: d.year * 12 + d.month,
        "quarter": lambda d: d.year * 4 + (d.month + 2) // 3,
        "year": lambda d: d.year,
        "fiscal_year": lambda d: d.year if d.month >= fiscal_start else d.year - 1,
    }
    if ".." in name:
        first, last = map(date.fromisoformat, name.split(".."))
        return first <= day < last
    which, _, unit = {"today": "this_day", "yesterday": "last_day"}.get(name, name).partition("_")
    count, _, units = unit.partition("_")
    if count.isdecimal():
        of = number[units.removesuffix("s")]
        return 0 <= of(today) - of(day) < int(count)
    return number[unit](today) - number[unit](day) == (0 if which == "this" else 1)


@dataclass(frozen=True)
class Plain:
    """A report, told in Python: rows are dicts, and each measure is a function of those of one window and group."""

    day: Callable[[Row, ZoneInfo], date | None]
    measures: dict[str, Callable[[list[Row]], Any]]
    groups: dict[str, Callable[[Row, ZoneInfo], Any]]
    totals: tuple[str, ...] | None

    def compute(
        self, rows: Sequence[Row], windows: Sequence[str], groups: Sequence[str], as_of: datetime, zone: ZoneInfo
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return rows and totals by window, each a dict from the group's items to its values.

        A group is in the windows in which it has a row, whatever other windows are asked for.
        """
        today = day_of(as_of, zone)
        dated = [(row, day) for row in rows if (day := self.day(row, zone)) is not None]
        kept = [name for name in groups if name in (self.totals or ())]
        told = [name for name in groups if name not in kept]
        found: list[dict[str, Any]] = []
        for names, wanted in ((groups, bool(told)), (kept, self.totals is not None or not groups)):
            of: dict[str, Any] = {window: {} for window in windows}
            for window in windows if wanted else ():
                own: dict[Any, list[Row]] = {} if names else {(): []}
                for row, day in dated:
                    if holds(window, day, today):
                        key = tuple((name, self.groups[name](row, zone)) for name in names)
                        own.setdefault(key, []).append(row)
                for key, those in own.items():
                    of[window][key] = {name: measure(those) for name, measure in self.measures.items()}
            found.append(of)
        return found[0], found[1]


def percentile(values: list[Any], share: float) -> float | None:
    """Interpolate as PostgreSQL does, in double precision."""
    numbers = sorted(float(value) for value in values)
    if not numbers:
        return None
    place = share * (len(numbers) - 1)
    below = int(place)
    above = min(below + (place > below), len(numbers) - 1)
    return numbers[below] + (place - below) * (numbers[above] - numbers[below])


def near(found: Any, wanted: Any) -> bool:
    """Tell whether a value is of the wanted type and that; a quotient to the 16 digits that the server has."""
    if isinstance(wanted, Fraction):
        return abs(Fraction(found) - wanted) <= max(abs(wanted) / 10**15, Fraction(1, 10**12))
    return type(found) is type(wanted) and found == wanted


def instants_around(day: date, zone: ZoneInfo) -> list[datetime]:
    """Return instants within two hours of where a day may begin, each minute's edge that could matter."""
    begin = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    return [begin + timedelta(seconds=s) for m in range(-150, 151, 15) for s in (60 * m - 1, 60 * m, 60 * m + 61)]
