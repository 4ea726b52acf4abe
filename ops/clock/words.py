"""A crontab line in words, and what each of its fields stands for.

cron-descriptor is not used: it says "every 7 minutes" of `*/7`, which is not so from 56 to 0, and the same of Vixie
cron's OR as of Celery's AND.
"""

from collections.abc import Iterable

from ops.clock.cron import FIELDS, MONTHS, WEEKDAYS, Crontab


def in_words(line: Crontab) -> str:
    """Return one sentence that says when a line fires."""
    return f"{_times(line)} {_days(line)}."


def fields(line: Crontab) -> list[tuple[str, str, str]]:
    """Return each field's name, its text, and its values in words."""
    found = []
    for kind, text, values in zip(FIELDS, line.fields, _values(line), strict=True):
        # A week is read from Monday on.
        ordered = sorted(values, key=lambda value: value or 7) if kind.names == WEEKDAYS else sorted(values)
        names = [_name(kind.names, value, kind.low) for value in ordered]
        all_of_them = len(values) == kind.high - kind.low + 1
        found.append((kind.name, text, "all" if all_of_them else ", ".join(names)))
    return found


def _values(line: Crontab) -> tuple[frozenset[int], ...]:
    return line.minutes, line.hours, line.days, line.months, line.weekdays


def _name(names: list[str], value: int, low: int) -> str:
    return names[value - low].capitalize() if names else str(value)


def _times(line: Crontab) -> str:
    if len(line.times) <= 6:
        return f"At {listed(f'{at // 60:02}:{at % 60:02}' for at in line.times)}"
    hours = f"of {_plural('hour', line.hours)}" if len(line.hours) < 24 else "of every hour"
    if len(line.minutes) == 60:
        return "Every minute," if len(line.hours) == 24 else f"Every minute {hours},"
    return f"At {_plural('minute', line.minutes)} {hours},"


def _days(line: Crontab) -> str:
    every_day, every_weekday = len(line.days) == 31, len(line.weekdays) == 7
    months = "" if len(line.months) == 12 else f" in {listed(_runs(line.months, MONTHS))}"
    days = f"on {_plural('day', line.days)} of {'each' if not months else 'the'} month"
    # From Monday on: Saturday and Sunday are neighbours.
    weekdays = listed(_runs({value or 7 for value in line.weekdays}, [*WEEKDAYS[1:], WEEKDAYS[0]]))
    if (line.either and (every_day or every_weekday)) or (every_day and every_weekday):
        return f"every day{months}"
    if every_weekday:
        return f"{days}{months}"
    if every_day:
        return f"on {weekdays}{months}"
    if line.either:
        return f"{days}, and also on every {weekdays}{' of it' if months else ''},{months}".rstrip(",")
    return f"{days}{months}, but only if that is a {weekdays.replace(' and ', ' or ')}"


def _plural(word: str, values: Iterable[int]) -> str:
    values = set(values)
    return f"{word}{'' if len(values) == 1 else 's'} {listed(_runs(values, []))}"


def _runs(values: Iterable[int], names: list[str]) -> list[str]:
    """Return values by name, three and more in a row as a range."""
    ordered, found = sorted(values), list[str]()
    while ordered:
        run = next((at for at in range(1, len(ordered)) if ordered[at] != ordered[0] + at), len(ordered))
        run = run if run > 2 else 1
        first, last = (_name(names, ordered[at], 1 if names else 0) for at in (0, run - 1))
        found.append(first if run == 1 else f"{first} to {last}")
        ordered = ordered[run:]
    return found


def listed(words: Iterable[str]) -> str:
    """Return words as a list: a, b and c."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
