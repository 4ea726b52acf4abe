"""How a report's values are told to people: short enough for a table or the end of a bar; JSON and CSV have them exact.

A value is what a measure came to: an int, Decimal, float, duration, date, instant, text, or None where there is none.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.duration import duration_iso_string

from ops.engine.plan import plain

EXACT = Context(prec=1_000, rounding=ROUND_HALF_UP)
"""Digits enough for any numeric of PostgreSQL that a report comes to; Python's default of 28 would lose some."""

KEPT = 3
"""Decimals that are shown as they are: all currencies do with so many. A mean has more, and is rounded."""

LARGEST = Decimal(10) ** 15
"""From here on a number is told by its power of ten: nobody counts so many groups of digits."""

UNITS = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "K"))


def number(value: object) -> Decimal | None:
    """Return what a value measures, durations in seconds; None where it is no (finite) number."""
    if isinstance(value, timedelta):
        return Decimal(value // timedelta(microseconds=1)).scaleb(-6, EXACT)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    found = Decimal(value) if not isinstance(value, float) else Decimal(repr(value))
    return found if found.is_finite() else None


def size(value: object) -> Decimal:
    """Return how large a value is, whatever its sign; 0 where it is no number."""
    found = number(value)
    return Decimal(0) if found is None else abs(found)


def shown(value: object, zone: ZoneInfo | None = None, *, decimals: int | None = None) -> str:
    """Return a value as people read it, instants in a zone; `decimals` as `decimals_of` a column, or its own."""
    if value is None:
        return "-"
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, datetime):
        local = value.astimezone(zone) if zone else value
        return f"{local:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    found = number(value)
    if found is None:
        if isinstance(value, list | tuple):
            return f"[{', '.join(shown(one, zone) for one in value)}]"
        return str(exact(value))
    if abs(found) >= LARGEST:
        return f"{EXACT.create_decimal(found).normalize(EXACT):.4e}".replace("e+", "e")
    if found and abs(found) < Decimal("0.01") and _scale(found) > KEPT:
        return f"{float(found):.3g}"
    kept = _own_decimals(found) if decimals is None else decimals
    rounded = found.quantize(Decimal(1).scaleb(-kept), context=EXACT)
    return f"{rounded or abs(rounded):,f}"


def exact(value: Any) -> Any:
    """Return a value (or all in it) as JSON and CSV have it: every digit, but no zeros that say nothing."""
    if isinstance(value, Mapping):
        return {name: exact(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [exact(one) for one in value]
    if isinstance(value, Decimal):
        return plain(value) if value.is_finite() else str(value)
    if isinstance(value, float):
        # JSON has no NaN.
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"\\x{bytes(value).hex()}"
    return duration_iso_string(value) if isinstance(value, timedelta) else value


def key(value: Any) -> Any:
    """Return a group's value as what can be compared and looked up: of an array a tuple."""
    if isinstance(value, list | tuple):
        return tuple(key(one) for one in value)
    if isinstance(value, Mapping):
        return tuple((name, key(value[name])) for name in sorted(value))
    return exact(value) if isinstance(value, bytearray | memoryview) else value


def decimals_of(values: Iterable[object]) -> int:
    """Return with how many decimals a column of values is told, so that its points stand below each other."""
    found = (number(value) for value in values if not isinstance(value, timedelta))
    return max((_own_decimals(one) for one in found if one is not None), default=0)


def brief(value: float) -> str:
    """Return a number of an axis, such as 1.5M."""
    found = Decimal(repr(float(value)))
    for unit, letter in UNITS:
        if abs(found) >= unit:
            if abs(found) >= LARGEST:
                return f"{value:.2g}".replace("e+", "e")
            return f"{float(found / unit):.4g}{letter}"
    return f"{value:.4g}"


def change(before: object, after: object) -> tuple[str, str]:
    """Return what a value changed by since the one before, as a difference and in percent; '' where that says nothing.

    Of two durations the difference is one, too.
    """
    was, now = number(before), number(after)
    if was is None or now is None:
        return "", ""
    difference = EXACT.subtract(now, was)
    told: object = difference
    if isinstance(after, timedelta) and isinstance(before, timedelta):
        told = after - before
    text = shown(told)
    sign = "+" if difference > 0 else ""
    if not was:
        return f"{sign}{text}", ""
    percent = EXACT.divide(difference * 100, abs(was))
    return f"{sign}{text}", f"{percent:+,.1f} %" if abs(percent) < LARGEST else ""


def group(found: Mapping[str, Any], names: Sequence[str] = ()) -> str:
    """Return a group as one label: its values, in the order of the group's names."""
    ordered = [found[name] for name in names if name in found] or list(found.values())
    return ", ".join(shown(value) if value != "" else "''" for value in ordered)


def instant(moment: datetime, zone: str) -> str:
    """Return an instant in a report's zone, which is named."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S %Z}"


def short(text: str, most: int) -> str:
    """Return a text with its middle left out where it is longer: names differ at their ends as often as not."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 3
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def _scale(value: Decimal) -> int:
    exponent = value.normalize(EXACT).as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _own_decimals(value: Decimal) -> int:
    """Return 0 of a whole number; else 2 at least, as of most currencies, and 3 where it needs them."""
    scale = _scale(value)
    return max(scale, 2) if 0 < scale <= KEPT else min(scale, 2)


def _duration(value: timedelta) -> str:
    sign = "-" if value < timedelta() else ""
    value = abs(value)
    if value < timedelta(minutes=1):
        return f"{sign}{round(value.total_seconds(), 2):g} s"
    minutes, seconds_left = divmod(round(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}:{minutes:02}:{seconds_left:02}"
    return f"{sign}{days:,} d {clock}" if days else f"{sign}{clock}"
