"""Time zones as they are given (names, fixed offsets, objects of zoneinfo and pytz), and how long each offset holds.

Nothing here reads a clock.
"""

import difflib
import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

FIXED = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?([0-5]\d)?", re.IGNORECASE)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
FIRST, LAST = datetime(1, 1, 4, tzinfo=UTC), datetime(9999, 12, 28, tzinfo=UTC)
"""The ends of time less three days, so that no zone leads beyond them."""


class Spell(NamedTuple):
    """A stretch of time, half-open, throughout which a zone has one offset."""

    begin: datetime
    end: datetime
    offset: timedelta


def read_zone(given: "str | tzinfo") -> tzinfo:
    """Return the zone that a name, a fixed offset (+05:45, -0330, Z) or an object of zoneinfo or pytz stands for.

    Of pytz's zones, whose objects change with the instant, the zone of that name by zoneinfo is returned. Raises
    ValueError, with a near name where there is one, for what is no zone.
    """
    if isinstance(given, str):
        return _named(given.strip())
    if isinstance(given, zoneinfo.ZoneInfo | timezone):
        return given
    if isinstance(given, tzinfo):
        name = getattr(given, "zone", None)  # pytz has it, None for its fixed offsets
        if isinstance(name, str):
            return _named(name)
        fixed = given.utcoffset(None)
        return given if fixed is None else timezone(fixed)
    raise ValueError(f"{given!r} is not a time zone: give a name such as Asia/Seoul, or an offset such as +09:00.")


def _named(name: str) -> tzinfo:
    if name in ("UTC", "Z", "z"):
        return UTC
    if match := FIXED.fullmatch(name):
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if offset < DAY:
            return timezone(-offset if sign == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
        near = _near(name)
        advice = f"did you mean {near}?" if near else "give a name such as Asia/Seoul, or an offset such as +09:00."
        raise ValueError(f"{name!r} is not a time zone: {advice}") from exc


def _near(name: str) -> str | None:
    """Return the name that was probably meant: of any case, or by its city, or one that looks like it."""
    known = {one.lower(): one for one in sorted(zoneinfo.available_timezones())}
    cities = {one.rpartition("/")[2]: full for one, full in known.items() if "/" in one}
    wanted = name.lower().replace(" ", "_")
    for names in (known, cities):
        if wanted in names:
            return names[wanted]
    for names in (known, cities):
        if found := difflib.get_close_matches(wanted, list(names), 1, 0.75):
            return names[found[0]]
    return None


def zone_name(zone: tzinfo) -> str:
    """Return a zone's name; of a fixed offset +05:45."""
    if zone is UTC:
        return "UTC"
    return str(getattr(zone, "key", None) or str(zone).removeprefix("UTC") or "UTC")


def instant_of(moment: datetime) -> datetime:
    """Return an aware datetime in UTC.

    Raises ValueError where it is naive, and where a zone of pytz was attached by `tzinfo=`: it then has the offset of
    the zone's first years (Seoul's is 32 minutes short), which is not meant.
    """
    if moment.utcoffset() is None:
        raise ValueError(
            f"{moment.isoformat()} has no zone, so it is no instant: give it one, as in "
            "datetime(2026, 12, 1, tzinfo=ZoneInfo('Asia/Seoul'))."
        )
    normalize = getattr(moment.tzinfo, "normalize", None)
    if normalize is not None and normalize(moment).utcoffset() != moment.utcoffset():
        name = getattr(moment.tzinfo, "zone", moment.tzinfo)
        raise ValueError(
            f"{moment.isoformat()} has an offset that {name} does not have then, as where a zone of pytz is attached "
            f"by tzinfo=: use pytz.timezone({name!r}).localize(..), or zoneinfo.ZoneInfo({name!r})."
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError(f"{moment.isoformat()} is no instant in UTC: it lies at an end of time.") from exc


def offset_at(zone: tzinfo, instant: datetime) -> timedelta:
    """Return a zone's offset at an instant."""
    return instant.astimezone(zone).utcoffset() or timedelta()


def spells(zone: tzinfo, begin: datetime, until: datetime) -> Iterator[Spell]:
    """Yield the spells of a zone between two instants of whole seconds, in their order and without a hole.

    Neighbours may have the same offset: a long time is told in parts, so that the first comes soon. Two changes of
    the clocks within a day that cancel each other are not seen; tzdata has none.
    """
    if isinstance(zone, timezone):
        yield Spell(begin, until, zone.utcoffset(None))
        return
    since, at, offset, size = begin, begin, offset_at(zone, begin), 8 * DAY
    while at < until:
        part = min(at + size, until)
        while at < part:
            step = min(at + DAY, part)
            if offset_at(zone, step) == offset:
                at = step
                continue
            at = _change(zone, at, step, offset)
            yield Spell(since, at, offset)
            since, offset = at, offset_at(zone, at)
        if since < at:
            yield Spell(since, at, offset)
        since, size = at, min(2 * size, 366 * DAY)


def _change(zone: tzinfo, before: datetime, after: datetime, offset: timedelta) -> datetime:
    """Return the first second between two instants at which the offset is another."""
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(zone, before + timedelta(seconds=middle)) == offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)
