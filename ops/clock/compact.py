"""Days and times of the day as few crontab lines: disjoint, in Celery's dialect, as short as people write them.

Days are a table: a byte for each date of a leap year (1 January first), a bit for each weekday (Sunday lowest).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from ops.clock.cron import FIELDS, LENGTHS, Crontab

DATES = [(month, day) for month in range(1, 13) for day in range(1, LENGTHS[month - 1] + 1)]
"""The dates of a leap year, in their order."""
WEEK = 0b1111111

Days = bytes
Box = tuple[frozenset[int], ...]
"""Sets whose product is meant: months, days and weekdays; or hours and minutes."""


def days_of(line: Crontab) -> Days:
    """Return the table of the days on which a line fires."""
    weekdays = sum(1 << day for day in line.weekdays)
    table = bytearray()
    for month, day in DATES:
        hit = day in line.days
        mask = (WEEK if hit else weekdays) if line.either else (weekdays if hit else 0)
        table.append(mask if month in line.months else 0)
    return bytes(table)


def lines_of(program: Mapping[Days, int]) -> list[str]:
    """Return lines that fire on each table's days at its times, a bit for each minute of the day, and never twice."""
    found = [_lines(program.items()), _lines(_by_times(program))]
    return min(found, key=lambda lines: (len(lines), sum(map(len, lines))))


def _by_times(program: Mapping[Days, int]) -> list[tuple[Days, int]]:
    """Return the same days and times, each day once."""
    tables: dict[int, bytearray] = {}
    known: dict[tuple[int, ...], dict[int, int]] = {}
    for at, masks in enumerate(zip(*program, strict=True)):
        if masks not in known:
            # Most dates are alike: of each kind, which weekdays have which times.
            found: dict[int, int] = {}
            known[masks] = found
            for weekday in range(7):
                times = 0
                for mask, mask_times in zip(masks, program.values(), strict=True):
                    times |= mask_times if mask >> weekday & 1 else 0
                found[times] = found.get(times, 0) | 1 << weekday
        for times, weekdays in known[masks].items():
            if times:
                tables.setdefault(times, bytearray(len(DATES)))[at] |= weekdays
    return [(bytes(days), times) for times, days in tables.items()]


def _lines(pairs: Iterable[tuple[Days, int]]) -> list[str]:
    boxes = [(*days, *times) for table, mask in pairs for days in day_boxes(table) for times in time_boxes(mask)]
    boxes.sort(key=lambda box: [sorted(values) for values in box])
    return [_line(*box) for box in boxes]


def _line(
    months: frozenset[int],
    days: frozenset[int],
    weekdays: frozenset[int],
    hours: frozenset[int],
    minutes: frozenset[int],
) -> str:
    if all(day in days for day in range(1, max(LENGTHS[month - 1] for month in months) + 1)):
        days = frozenset(range(1, 32))
    return " ".join(
        values_text(values, kind.low, kind.high)
        for values, kind in zip((minutes, hours, days, months, weekdays), FIELDS, strict=True)
    )


def values_text(values: frozenset[int], low: int, high: int) -> str:
    """Return a field's values as people write them: *, */15, 1-5, 9-17/2, or a list of such."""
    ordered = sorted(values)
    if len(ordered) == high - low + 1:
        return "*"
    step = ordered[1] - ordered[0] if len(ordered) > 2 else 0
    if step > 1 and ordered == list(range(ordered[0], ordered[-1] + 1, step)):
        return f"*/{step}" if ordered == list(range(low, high + 1, step)) else f"{ordered[0]}-{ordered[-1]}/{step}"
    parts: list[str] = []
    at = 0
    while at < len(ordered):
        run = 1
        while at + run < len(ordered) and ordered[at + run] == ordered[at] + run:
            run += 1
        if run > 2:
            parts.append(f"{ordered[at]}-{ordered[at + run - 1]}")
        else:
            parts += map(str, ordered[at : at + run])
        at += run
    return ",".join(parts)


@lru_cache(1024)
def time_boxes(mask: int) -> tuple[Box, ...]:
    """Return minutes of the day as few products of hours and minutes."""
    points = [divmod(at, 60) for at in range(24 * 60) if mask >> at & 1]
    by_hour = _grouped(points)
    by_minute = [(hours, minutes) for minutes, hours in _grouped([(minute, hour) for hour, minute in points])]
    return tuple(by_hour if len(by_hour) <= len(by_minute) else by_minute)


@lru_cache(1024)
def day_boxes(table: Days) -> tuple[Box, ...]:
    """Return days as few products of months, days of the month and weekdays."""
    by_mask: dict[int, set[tuple[int, int]]] = {}
    by_weekday: dict[int, set[tuple[int, int]]] = {}
    for date, mask in zip(DATES, table, strict=True):
        if mask:
            by_mask.setdefault(mask, set()).add(date)
        for weekday in range(7):
            if mask >> weekday & 1:
                by_weekday.setdefault(weekday, set()).add(date)
    merged: dict[frozenset[tuple[int, int]], int] = {}
    for weekday, dates in by_weekday.items():
        merged[frozenset(dates)] = merged.get(frozenset(dates), 0) | 1 << weekday
    ways = (by_mask.items(), [(mask, dates) for dates, mask in merged.items()])
    found = [[(*box, _bits(mask)) for mask, dates in way for box in _date_boxes(dates)] for way in ways]
    return tuple(found[0] if len(found[0]) <= len(found[1]) else found[1])


def _date_boxes(dates: Iterable[tuple[int, int]]) -> list[Box]:
    """Return dates as few products of months and days of the month; dates that no year has are free to be in one."""
    given = set(dates)
    by_month = _fitted(given, range(1, 13), range(31, 0, -1), lambda month, day: (month, day))
    by_day = _fitted(given, range(1, 32), range(1, 13), lambda day, month: (month, day))
    return min([(months, days) for months, days in by_month], [(months, days) for days, months in by_day], key=_size)


def _size(boxes: Sequence[Box]) -> tuple[int, int]:
    return len(boxes), sum(len(values_text(days, 1, 31)) + len(values_text(months, 1, 12)) for months, days in boxes)


def _fitted(
    dates: set[tuple[int, int]],
    rows: Iterable[int],
    columns: Iterable[int],
    date: Callable[[int, int], tuple[int, int]],
) -> list[tuple[frozenset[int], frozenset[int]]]:
    """Group the rows whose columns agree wherever both have a date that exists."""
    groups: list[tuple[set[int], dict[int, bool]]] = []
    columns = list(columns)
    known = {
        row: {column: date(row, column) in dates for column in columns if date(row, column) in _EXISTING}
        for row in rows
    }
    # Those that say most first: what has fewer dates fits more groups.
    for row, says in sorted(known.items(), key=lambda item: -len(item[1])):
        if not any(says.values()):
            continue
        for members, agreed in groups:
            if all(agreed.get(column, fires) == fires for column, fires in says.items()):
                members.add(row)
                agreed.update(says)
                break
        else:
            groups.append(({row}, dict(says)))
    made = []
    for members, agreed in groups:
        # What no member says is free: with it the set may be whole, or a range.
        fires = {column for column, yes in agreed.items() if yes}
        free = set(columns) - agreed.keys()
        made.append((frozenset(members), frozenset(fires | free if fires >= agreed.keys() else fires)))
    return made


_EXISTING = set(DATES)


def _grouped(points: Iterable[tuple[int, int]]) -> list[tuple[frozenset[int], frozenset[int]]]:
    """Return pairs as products: the first members that share all their second ones together."""
    seconds: dict[int, set[int]] = {}
    for first, second in points:
        seconds.setdefault(first, set()).add(second)
    firsts: dict[frozenset[int], set[int]] = {}
    for first, shared in seconds.items():
        firsts.setdefault(frozenset(shared), set()).add(first)
    return [(frozenset(members), shared) for shared, members in firsts.items()]


def _bits(mask: int) -> frozenset[int]:
    return frozenset(at for at in range(mask.bit_length()) if mask >> at & 1)
