"""What Celery, the admin of django-celery-beat and Vixie cron each make of a crontab line, and where that is no good.

Celery and the admin are asked, by running them; Vixie cron is not here to be asked, so its grammar is ours.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from ops.clock.compact import values_text
from ops.clock.cron import FIELDS, MACROS, Crontab, Field
from ops.clock.zones import DAY, spells, zone_name

KEYWORDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
Values = tuple[frozenset[int], ...]


class Reader(NamedTuple):
    """Who reads a line: what it takes each field for, or why it refuses it."""

    name: str
    reads: str
    refusal: str


class Finding(NamedTuple):
    """Something that is no good: what was found, and what to do."""

    found: str
    advice: str


class Report(NamedTuple):
    readers: list[Reader]
    findings: list[Finding]


def lint(text: str, zone: tzinfo | None = None, now: datetime | None = None) -> Report:
    """Return who reads a line how, and what is found; with a zone and the instant, times that its clocks change.

    Raises ValueError where it has not five fields and is no word such as @daily.
    """
    word = text.strip().lower()
    parts = (MACROS.get(word, text)).split()
    if len(parts) != len(FIELDS) or (word.startswith("@") and word not in MACROS):
        Crontab.parse(text, "vixie")  # says what is wrong
    strict, why = _parsed(text, "celery")
    vixie, why_vixie = _parsed(text, "vixie")
    if word in MACROS:
        celery: Values | str = f"Celery has no {word}"
        admin = f"the admin has no {word}"
    else:
        celery, admin = ask_celery(parts), ask_admin(parts)
    read = ""
    if not isinstance(celery, str):
        both = len(celery[2]) < 31 and len(celery[4]) < 7
        read = _told(celery) + (" (day of month AND day of week)" if both else "")
    readers = [
        Reader("Celery", read, celery if isinstance(celery, str) else ""),
        Reader("beat admin", "" if admin else "takes it, for Celery to read", admin),
        Reader("Vixie cron", _told_vixie(vixie) if vixie else "", why_vixie),
    ]
    findings = [*_of_readers(text, parts, celery, admin, strict, why, vixie, why_vixie)]
    if (line := strict or vixie) is not None:
        findings += [*_of_steps(line)]
        if zone is not None and now is not None:
            findings += [*_of_clocks(line, zone, now)]
    return Report(readers, findings)


def _parsed(text: str, dialect: str) -> tuple[Crontab | None, str]:
    try:
        return Crontab.parse(text, dialect), ""
    except ValueError as exc:
        return None, str(exc)


def _values(line: Crontab) -> Values:
    return line.minutes, line.hours, line.days, line.months, line.weekdays


def _restricted(line: Crontab) -> bool:
    return len(line.days) < 31 and len(line.weekdays) < 7


def _told(values: Values) -> str:
    """Return values as a line, shortened."""
    return " ".join(values_text(found, kind.low, kind.high) for found, kind in zip(values, FIELDS, strict=True))


def _told_vixie(line: Crontab) -> str:
    if not line.either:
        return _told(_values(line)) + (" (AND)" if _restricted(line) else "")
    # Here * would mean something else: AND.
    days = values_text(line.days, 1, 31).replace("*", "1-31"), values_text(line.weekdays, 0, 6).replace("*", "0-6")
    minute, hour, _, month, _ = _told(_values(line)).split()
    return f"{minute} {hour} {days[0]} {month} {days[1]} (day of month OR day of week)"


def ask_celery(parts: list[str]) -> Values | str:
    """Return what Celery reads five fields as, or why it refuses them."""
    from celery.schedules import crontab

    try:
        made: Any = crontab(**dict(zip(KEYWORDS, parts, strict=True)))
    except Exception as exc:  # noqa: BLE001, RUF100 - whatever it raises is its answer
        return f"{exc}".rstrip(".") or type(exc).__name__
    found = (made.minute, made.hour, made.day_of_month, made.month_of_year, made.day_of_week)
    return tuple(frozenset(int(value) for value in values) for values in found)


def ask_admin(parts: list[str]) -> str:
    """Return why the admin of django-celery-beat refuses five fields; nothing where it takes them."""
    from django.core.exceptions import ValidationError
    from django_celery_beat import validators

    for part, kind, keyword in zip(parts, FIELDS, KEYWORDS, strict=True):
        validate = getattr(validators, f"{keyword}_validator")
        try:
            validate(part)
        except ValidationError as exc:
            return f"{kind.name} {part!r}: {'; '.join(exc.messages)}".rstrip(".")
    return ""


def _of_readers(
    text: str,
    parts: list[str],
    celery: Values | str,
    admin: str,
    strict: Crontab | None,
    why: str,
    vixie: Crontab | None,
    why_vixie: str,
) -> Iterator[Finding]:
    """Yield where readers refuse, or read differently."""
    if isinstance(celery, str):
        dropped = "" if admin else ", the beat admin takes it, and beat then drops the row without a word"
        yield Finding(
            f"Celery refuses it{dropped}: {celery}.",
            why if strict is None else "Write it so that Celery reads it.",
        )
    elif strict is None:
        yield Finding(f"Celery takes it for {_told(celery)!r}, which it does not say.", why)
    if admin and not isinstance(celery, str):
        line = _told(celery)
        advice = f"In the admin write {line!r}." if not ask_admin(line.split()) else "Declare it in code instead."
        yield Finding(f"The beat admin refuses what Celery takes: {admin}.", advice)
    if vixie is None and strict is not None:
        yield Finding("Vixie cron refuses what Celery takes.", why_vixie)
    if vixie is not None and vixie.fires_never:
        yield Finding(
            f"It never fires: {vixie.impossible}; Vixie cron takes it and stays silent.", "Write a day that there is."
        )
    if vixie is None or isinstance(celery, str):
        return
    for kind, part, ours, theirs in zip(FIELDS, parts, _values(vixie), celery, strict=True):
        if ours != theirs:
            a, b = (values_text(found, kind.low, kind.high) for found in (theirs, ours))
            yield Finding(f"Its {kind.name} {part!r} is {a} to Celery and {b} to Vixie cron.", f"Write {a} or {b}.")
    if vixie.either and len(vixie.days) + len(vixie.weekdays) < 31 + 7:
        yield Finding(
            "Vixie cron fires where the day of month OR the day of week fits, Celery where both do.",
            "Restrict one of them only; for OR in Celery write two lines.",
        )


def _of_steps(line: Crontab) -> Iterator[Finding]:
    """Yield steps that do not divide their field, so that the last stride is shorter."""
    for kind, text in zip(FIELDS, line.fields, strict=True):
        for part in text.split(","):
            star, _, step = part.partition("/")
            if star == "*" and step and (found := _uneven(kind, int(step))):
                yield Finding(f"Its {kind.name} {part!r} {found}.", _evenly(kind))


def _uneven(kind: Field, step: int) -> str:
    size = kind.high - kind.low + 1
    if step >= size:
        return f"is {kind.low} alone: no other value is so far on"
    if kind.name == "day of month":
        return "begins anew on the 1st of each month, whatever the last stride was" if step > 1 else ""
    if not size % step:
        return ""
    last = kind.low + (size - 1) // step * step
    left = size - (size - 1) // step * step
    return f"is not every {step}: from {last} to {kind.low} it is {left}"


def _evenly(kind: Field) -> str:
    size = kind.high - kind.low + 1
    even = [str(step) for step in range(2, size) if not size % step]
    if kind.name in ("day of month", "day of week") or not even:
        return "Use an interval where the distance matters, else list the days that are meant."
    return f"Use an interval where the distance matters; {', '.join(even)} divide it evenly."


def _of_clocks(line: Crontab, zone: tzinfo, now: datetime) -> Iterator[Finding]:
    """Yield the first times within two years that a zone's clocks skip or have twice, for hours that are fixed."""
    if line.wild_hours:
        return
    begin, seen = now.replace(second=0, microsecond=0), set[str]()
    before: timedelta | None = None
    for spell in spells(zone, begin, begin + 731 * DAY):
        if before is not None and spell.offset != before:
            edges = [spell.begin.replace(tzinfo=None) + offset for offset in (before, spell.offset)]
            what, twice = ("skip", "") if spell.offset > before else ("have", " twice")
            local = next(line.between(min(edges), max(edges)), None)
            if local is not None and what not in seen:
                seen.add(what)
                yield Finding(
                    f"Clocks in {zone_name(zone)} {what} {local:%H:%M}{twice} on {local:%Y-%m-%d}.",
                    "Take an hour that no change of clocks touches, or a declared schedule, which is due once then.",
                )
        before = spell.offset
