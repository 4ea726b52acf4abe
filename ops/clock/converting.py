"""Crontab lines of one zone as lines of another that fire at exactly the same instants, or a refusal with the reason.

The difference of the zones is looked at over a period; the lines are right for every year whose February is as long as
one of the period's. Whatever is returned has been proven: where the difference is one, by the calendar; where it
changes, for each difference by itself.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise

from ops.clock.compact import DATES, WEEK, Days, days_of, lines_of
from ops.clock.cron import MONTHS, WEEKDAYS, Crontab
from ops.clock.zones import DAY, MINUTE, Spell, read_zone, spells, zone_name

DAY_MINUTES = 24 * 60
Program = dict[Days, int]
"""Days and, a bit for each minute of the day, when they fire."""


class CronRefused(Exception):
    """No finite set of crontab lines fires at these instants. Its text, also `reason`, says why and what to do."""

    @property
    def reason(self) -> str:
        return str(self)


def convert(
    lines: str | Sequence[str],
    source_zone: str | tzinfo,
    target_zone: str | tzinfo,
    dialect: str = "celery",
    *,
    start: date | str | None = None,
    end: date | str | None = None,
) -> list[str]:
    """Return Celery crontab lines for the target zone that fire when the given ones do in the source zone.

    Several lines are one schedule: an instant that two of them name is one firing. The lines returned are disjoint.
    `start` and `end` are the period over which the zones are looked at, days in UTC, the last one excluded; by default
    from the last Christmas to 10 March over four years later. Raises CronRefused where no lines can say it, and
    ValueError where the source is no crontab, or never fires.
    """
    given = [lines] if isinstance(lines, str) else list(lines)
    source = [Crontab.parse(line, dialect) for line in given]
    if not source:
        raise ValueError("There is no crontab line to convert: give one, such as '0 1 * * *', or a list of them.")
    for line in source:
        if line.fires_never:
            raise ValueError(f"{str(line)!r} never fires: {line.impossible}.")
    zones = read_zone(source_zone), read_zone(target_zone)
    begin, until = _period(start, end)
    conversion = _Conversion(source, *zones, begin, until)
    found = lines_of(conversion.program())
    if not found:
        raise CronRefused(
            f"{conversion.said()} does not fire from {begin:%Y-%m-%d} to {until:%Y-%m-%d}, so there is no line to "
            "give: take a longer period."
        )
    return found


def _period(start: date | str | None, end: date | str | None) -> tuple[datetime, datetime]:
    """Return the first instant of the period, and that of the first day after it."""
    first, last = _day(start, "start"), _day(end, "end")
    if first is None:
        from ops import clock

        today = clock.now().astimezone(clock.zone()).date()
        first = date(today.year, 12, 25)
        if first >= today:
            first = first.replace(year=today.year - 1)
    if last is None:
        last = date(first.year + 5, 3, 10)
    if first >= last:
        raise ValueError(f"The period from {first} to {last} has no day: give an end after its start.")
    if first.year < 1800 or last.year > 2999:
        raise ValueError(f"The period from {first} to {last} is out of reach: take days from 1800 to 2999.")
    begin, until = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last))
    return begin, until


def _day(given: date | str | None, name: str) -> date | None:
    if isinstance(given, datetime):
        return given.date()
    if not isinstance(given, str):
        return given
    try:
        return date.fromisoformat(given)
    except ValueError as exc:
        raise ValueError(f"The {name} {given!r} is not a date: write it as 2026-12-25.") from exc


def convert_cron_hour(hour: int | str) -> int:
    """Return an hour that was read as UTC as the hour in Asia/Seoul: 1 -> 10. Raises ValueError for anything but 0..23.

    The day is lost: 15 to 23 are 0 to 8 of the next day, so a line with a weekday, a day of the month or a month needs
    `convert`, which carries them over.
    """
    text = str(hour)
    if isinstance(hour, bool) or not isinstance(hour, int | str) or not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{hour!r} is not an hour: give a whole number from 0 to 23.")
    if int(text) > 23:
        raise ValueError(f"{hour!r} is not an hour of the day: give a whole number from 0 to 23.")
    return (int(text) + 9) % 24


class _Conversion:
    """One conversion: source lines, two zones, a period."""

    def __init__(
        self, source: list[Crontab], source_zone: tzinfo, target_zone: tzinfo, begin: datetime, until: datetime
    ) -> None:
        self.source = source
        self.zones = source_zone, target_zone
        self.names = zone_name(source_zone), zone_name(target_zone)
        self.begin, self.until = begin, until
        self.advice = f"give the schedule the zone {self.names[0]} instead"
        years = range(begin.year, until.year + 1)
        ends = [y for y in years if begin <= datetime(y, 3, 3, tzinfo=UTC) and datetime(y, 2, 27, tzinfo=UTC) < until]
        self.leap = {_is_leap(year) for year in ends} or {False}
        # Of each minute of the day, the lines that fire in it.
        self.times: dict[int, tuple[int, ...]] = {}
        for number, line in enumerate(source):
            for minute in line.times:
                self.times[minute] = (*self.times.get(minute, ()), number)
        self.tables = [days_of(line) for line in source]

    def program(self) -> Program:
        """Return when the target fires. Raises CronRefused."""
        found = self.differences()
        total: dict[int, timedelta] = {}
        for spell in found:
            minutes = spell.offset // MINUTE
            total[minutes] = total.get(minutes, timedelta()) + (spell.end - spell.begin)
        main = max(total, key=lambda minutes: total[minutes])
        if len(total) == 1:
            return self.shifted(main)
        try:
            programs = {minutes: self.shifted(minutes) for minutes in total}
        except CronRefused as exc:
            raise self.changing(found) from exc
        for spell in found:
            other = spell.offset // MINUTE
            if programs[other] == programs[main]:
                continue
            # Clocks that change a few hours apart: right where nothing differs within these hours.
            if spell.end - spell.begin >= DAY or self.differs(programs[main], programs[other], spell):
                raise self.changing(found, spell)
        return programs[main]

    def differences(self) -> list[Spell]:
        """Return by how much the target's clocks are ahead, spell by spell, those of one difference joined."""
        edges = {self.begin, self.until}
        sides = [list(spells(zone, self.begin, self.until)) for zone in self.zones]
        for name, side in zip(self.names, sides, strict=True):
            for spell in side:
                edges.add(spell.begin)
                if spell.offset % MINUTE or (spell.begin - self.begin) % MINUTE:
                    raise CronRefused(
                        f"The offset of {name} at {spell.begin:%Y-%m-%d} is {_signed(spell.offset)}, and no crontab "
                        f"line knows seconds: {self.advice}, or a later period."
                    )
        found: list[Spell] = []
        for begin, end in pairwise(sorted(edges)):
            theirs, ours = (_current(side, begin).offset for side in sides)
            ahead = ours - theirs
            if found and found[-1].offset == ahead:
                found[-1] = Spell(found[-1].begin, end, ahead)
            else:
                found.append(Spell(begin, end, ahead))
        return found

    def shifted(self, ahead: int) -> Program:
        """Return when the target fires whose clocks are so many minutes ahead. Raises CronRefused."""
        found: Program = {}
        tables: dict[tuple[tuple[int, ...], int], Days] = {}
        for minute, numbers in sorted(self.times.items()):
            later, at = divmod(minute + ahead, DAY_MINUTES)
            key = (numbers, later)
            if key not in tables:
                tables[key] = self.moved(numbers, later, at)
            found[tables[key]] = found.get(tables[key], 0) | 1 << at
        return found

    def moved(self, numbers: tuple[int, ...], later: int, at: int) -> Days:
        """Return the days of some lines so many days later. Raises CronRefused where that depends on the year."""
        table = bytes(map(_any, zip(*(self.tables[number] for number in numbers), strict=True)))
        turned = bytes((mask << later % 7 | mask >> (7 - later % 7)) & WEEK for mask in table)
        made = {leap: bytes(turned[before] for before in _befores(later, leap)) for leap in (False, True)}
        if self.leap == {False}:
            # The period has no 29 February; it is filled so that lines become short, not so that they change.
            last, none = DATES.index((2, 28)), DATES.index((2, 29))
            free = made[True][none] if made[False][last] == made[True][last] else 0
            return made[False][:none] + bytes([free]) + made[False][none + 1 :]
        if self.leap == {False, True}:
            for number, date_ in enumerate(DATES):
                common, leap = made[False][number], made[True][number]
                if date_ != (2, 29) and common != leap:
                    raise self.depends(number, common, leap, at)
        return made[True]

    def depends(self, number: int, common: int, leap: int, at: int) -> CronRefused:
        """Say that a date fires in some years and not in others."""
        month, day = DATES[number]
        kinds = ("common years and not in leap years", "leap years and not in common years")
        only = common & ~leap or leap & ~common
        names = [name.capitalize() for bit, name in enumerate(WEEKDAYS) if only >> bit & 1]
        weekday = "" if len(names) == len(WEEKDAYS) else f" if it is a {' or '.join(names)}"
        return CronRefused(
            f"{self.said()} in {self.names[0]} would have to fire in {self.names[1]} at {at // 60:02}:{at % 60:02} on "
            f"{day} {MONTHS[month - 1].capitalize()}{weekday} in {kinds[only & common == 0]}, which no crontab line "
            f"can say: {self.advice}."
        )

    def changing(self, found: list[Spell], spell: Spell | None = None) -> CronRefused:
        """Say that the difference of the zones changes: at a spell that matters, or at the first long one."""
        first = found[0]
        if spell is None or spell.offset == first.offset:
            others = [one for one in found if one.offset != first.offset]
            spell = next((one for one in others if one.end - one.begin >= DAY), others[0])
        second = spell
        return CronRefused(
            f"{self.said()} can't be kept in {self.names[1]}: it is {_signed(first.offset)} from {self.names[0]} at "
            f"{first.begin:%Y-%m-%d} but {_signed(second.offset)} from {second.begin:%Y-%m-%d} on, and no crontab "
            f"line follows that: {self.advice}."
        )

    def said(self) -> str:
        """Return the source as an error names it."""
        more = len(self.source) - 1
        return f"{str(self.source[0])!r}{f' (and {more} more)' if more else ''}"

    def differs(self, program: Program, other: Program, spell: Spell) -> bool:
        """Tell whether two programs of the target differ on its days and times of a short spell."""
        at = spell.begin.astimezone(self.zones[1]).replace(tzinfo=None)
        end = at + (spell.end - spell.begin)
        while at < end:
            if _fires(program, at) != _fires(other, at):
                return True
            at += MINUTE
        return False


def _current(side: list[Spell], instant: datetime) -> Spell:
    """Return the spell in which an instant is."""
    return side[bisect_right(side, instant, key=lambda spell: spell.begin) - 1]


def _fires(program: Program, local: datetime) -> bool:
    number = DATES.index((local.month, local.day))
    minute = 60 * local.hour + local.minute
    weekday = local.isoweekday() % 7
    return any(days[number] >> weekday & 1 and mask >> minute & 1 for days, mask in program.items())


def _any(masks: tuple[int, ...]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


@lru_cache
def _befores(later: int, leap: bool) -> tuple[int, ...]:
    """Return for each date the number of the one so many days before it, in a common or a leap year.

    What it says of 29 February in a common year means nothing.
    """
    numbers = [number for number, date in enumerate(DATES) if leap or date != (2, 29)]
    places = {number: place for place, number in enumerate(numbers)}
    return tuple(numbers[(places.get(number, 0) - later) % len(numbers)] for number in range(len(DATES)))


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _signed(offset: timedelta) -> str:
    """Return an offset as +05:45, with seconds where it has some."""
    seconds = abs(int(offset.total_seconds()))
    text = f"{'-' if offset < timedelta() else '+'}{seconds // 3600:02}:{seconds // 60 % 60:02}"
    return f"{text}:{seconds % 60:02}" if seconds % 60 else text
