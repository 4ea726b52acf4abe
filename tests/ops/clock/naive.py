"""What a crontab does, the slow and obvious way: another parser, other loops, nothing of ops.clock."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
NAMES += ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
NUMBERS = {name: at + 1 if at < 12 else at - 12 for at, name in enumerate(NAMES)}
Line = tuple[list[set[int]], bool]


def zone_of(name: str) -> tzinfo:
    if name[0] in "+-":
        hours, minutes = int(name[1:3]), int(name[4:6])
        return timezone((-1 if name[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))
    return ZoneInfo(name)


def parsed(text: str, dialect: str) -> Line:
    """Return the values of the fields of a line that is known to be right, and whether its days are alternatives."""
    found = []
    for field, (low, high) in zip(text.split(), BOUNDS, strict=True):
        values = set()
        for part in field.split(","):
            body, _, step = part.partition("/")
            first, _, last = body.partition("-")
            if body == "*":
                steps = list(range(low, high + 1))
            else:
                a, b = (
                    NUMBERS.get(word[:3].lower()) if word.isalpha() else int(word) for word in (first, last or first)
                )
                assert a is not None
                assert b is not None
                steps = list(range(a, b + 1)) if a <= b else [*range(a, high + 1), *range(low, b + 1)]
            values |= {value % 7 if high == 6 else value for value in steps[:: int(step or 1)]}
        found.append(values)
    fields = text.split()
    return found, dialect == "vixie" and fields[2][0] != "*" and fields[4][0] != "*"


def fires_on(line: Line, month: int, day: int, weekday: int) -> bool:
    (_, _, days, months, weekdays), either = line
    if month not in months:
        return False
    return day in days or weekday in weekdays if either else day in days and weekday in weekdays


def fires_at(line: Line, local: datetime) -> bool:
    return (
        local.minute in line[0][0]
        and local.hour in line[0][1]
        and fires_on(line, local.month, local.day, local.isoweekday() % 7)
    )


def scan(lines: Sequence[str], zone: str, begin: datetime, minutes: int, dialect: str = "celery") -> bytearray:
    """Return for each minute from an instant on whether it fires: by looking at the local time in each."""
    read, place = [parsed(line, dialect) for line in lines], zone_of(zone)
    found = bytearray(minutes)
    for at in range(minutes):
        local = (begin + timedelta(minutes=at)).astimezone(place)
        found[at] = any(fires_at(line, local) for line in read)
    return found


@lru_cache(None)
def offsets(zone: str, start: str, end: str) -> list[tuple[int, int, int]]:
    """Return stretches of minutes since the start, and the offset in minutes, asked for at each quarter of an hour."""
    place, begin = zone_of(zone), datetime.fromisoformat(start).replace(tzinfo=UTC)
    total = (datetime.fromisoformat(end).replace(tzinfo=UTC) - begin) // timedelta(minutes=1)
    found: list[tuple[int, int, int]] = []
    for at in range(0, total, 15 if isinstance(place, ZoneInfo) else total):
        offset = (begin + timedelta(minutes=at)).astimezone(place).utcoffset()
        assert offset is not None
        minutes = offset // timedelta(minutes=1)
        if found and found[-1][2] == minutes:
            found[-1] = (found[-1][0], total, minutes)
        else:
            if found:
                found[-1] = (found[-1][0], at, found[-1][2])
            found.append((at, total, minutes))
    return found


def expand(lines: Sequence[str], zone: str, start: str, end: str, dialect: str = "celery") -> tuple[bytearray, bool]:
    """Return for each minute of a period whether it fires, and whether two lines ever do at once: day by local day."""
    read = [parsed(line, dialect) for line in lines]
    masks = [
        int.from_bytes(bytes(m // 60 in line[0][1] and m % 60 in line[0][0] for m in range(1440)), "little")
        for line in read
    ]
    first = date.fromisoformat(start).toordinal()
    spans = offsets(zone, start, end)
    found, twice = bytearray(spans[-1][1]), False
    for begin, until, offset in spans:
        low, high = begin + offset, until + offset
        for number in range(low // 1440, (high - 1) // 1440 + 1):
            day, pattern = date.fromordinal(first + number), 0
            month, of_month, of_week = day.month, day.day, day.isoweekday() % 7
            for line, mask in zip(read, masks, strict=True):
                if fires_on(line, month, of_month, of_week):
                    twice |= bool(pattern & mask)
                    pattern |= mask
            if pattern:
                a, b = max(low, number * 1440), min(high, number * 1440 + 1440)
                found[a - offset : b - offset] = pattern.to_bytes(1440, "little")[a - number * 1440 : b - number * 1440]
    return found, twice


def contradicts(found: bytearray, offset: int, start: str) -> bool:
    """Tell whether two days that a crontab can't tell apart (month, day, weekday) fire differently: an exact proof.

    `found` is what fires, minute by minute since the start, where a zone of this offset in minutes is to say it.
    """
    first = date.fromisoformat(start).toordinal()
    seen: dict[tuple[int, int, int], bytes] = {}
    for number in range(1, len(found) // 1440 - 1):
        day = date.fromordinal(first + number)
        at = number * 1440 - offset
        pattern = bytes(found[at : at + 1440])
        if seen.setdefault((day.month, day.day, day.weekday()), pattern) != pattern:
            return True
    return False


STEADY = ["UTC", "Asia/Seoul", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Yangon", "Australia/Eucla", "Pacific/Marquesas"]
STEADY += ["Pacific/Kiritimati", "Pacific/Honolulu", "America/Phoenix", "Asia/Dubai", "+14:00", "-12:00", "-03:30"]
STEADY += ["+05:45", "Africa/Lagos", "Australia/Darwin", "Asia/Kabul", "America/Bogota"]
CHANGING = ["America/New_York", "America/Chicago", "Europe/London", "Australia/Lord_Howe", "America/St_Johns"]
CHANGING += ["Europe/Paris", "Europe/Berlin", "Asia/Almaty", "Africa/Casablanca", "America/Santiago"]


def some(chance: random.Random, low: int, high: int, names: list[str], *, wrap: bool) -> str:
    """Return a field of any shape."""
    shape = chance.choice(["*", "*", "n", "n", "list", "range", "step", "range/step", "name"])
    a, b = chance.randint(low, high), chance.randint(low, high)
    if not wrap:
        a, b = min(a, b), max(a, b)
    if shape == "name" and names:
        return chance.choice(names)
    if shape == "list":
        return ",".join(str(chance.randint(low, high)) for _ in range(chance.randint(2, 4)))
    texts = {"*": "*", "range": f"{a}-{b}", "step": f"*/{chance.randint(2, (high - low) // 2)}"}
    texts["range/step"] = f"{a}-{b}/{chance.randint(1, 5)}"
    return texts.get(shape, str(a))


def random_line(chance: random.Random, dialect: str) -> str:
    """Return a line of any shape, mostly with days that are not restricted, as people write them."""
    wrap = dialect == "celery"
    names = [[], [], [], NAMES[:12], NAMES[12:]]
    fields = [some(chance, low, high, n, wrap=wrap) for (low, high), n in zip(BOUNDS, names, strict=True)]
    for at, rate in ((2, 0.5), (3, 0.5), (4, 0.4)):
        if chance.random() < rate:
            fields[at] = "*"
    return " ".join(fields)
