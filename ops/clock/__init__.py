"""The one place that reads a clock; everything else is handed an instant."""

import time
from datetime import UTC, date, datetime
from datetime import time as wall_time
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime


def now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that only ever grow, for pacing and time-outs."""
    return time.monotonic()


def pause(seconds: float) -> None:
    """Wait; the engine's only sleep, between retries and polls."""
    time.sleep(seconds)


def zone() -> ZoneInfo:
    """Return the project's zone, in which a day without a zone is meant."""
    return ZoneInfo(settings.TIME_ZONE)


def shown(moment: datetime) -> str:
    """Return an instant as people read it: to the second, in the project's zone, which is named."""
    return f"{moment.astimezone(zone()):%Y-%m-%d %H:%M:%S %Z}"


def parse_instant(text: str, where: ZoneInfo | None = None) -> datetime:
    """Read an ISO 8601 date or date-time; without an offset it is meant in the zone `where`, or the project's.

    Raises ValueError, with what to write instead, for anything else, and for a local time
    that the zone skips or has twice, where guessing would move a price change by an hour.
    """
    text = text.strip()
    local_zone = where or zone()
    advice = "write it as 2026-12-01, 2026-12-01T00:00 or 2026-12-01T00:00+09:00"
    try:
        value = parse_datetime(text)
        if value is None:
            day: date | None = parse_date(text)
            if day is None:
                raise ValueError(f"{text!r} is not a date or date-time")
            value = datetime.combine(day, wall_time())
        # What can't be told in UTC and in that zone alike is no instant: it lies at an end of time.
        aware = value if timezone.is_aware(value) else value.replace(tzinfo=local_zone)
        aware.astimezone(UTC).astimezone(local_zone)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text!r} is not an instant: {advice}.") from exc
    if timezone.is_aware(value):
        return value.astimezone(UTC)
    local = value.replace(tzinfo=local_zone)
    if local.astimezone(UTC).astimezone(local_zone).replace(tzinfo=None) != value:
        raise ValueError(f"{text!r} does not exist in {local_zone.key}: clocks skip it; give an offset.")
    if local.replace(fold=1).utcoffset() != local.replace(fold=0).utcoffset():
        raise ValueError(f"{text!r} happens twice in {local_zone.key}; give an offset.")
    return local.astimezone(UTC)


# Last, as they need nothing above but at run time.
from ops.clock.converting import CronRefused, convert, convert_cron_hour  # noqa: E402 - what the package offers
from ops.clock.cron import Crontab, next_firings  # noqa: E402 - the same
from ops.clock.zones import read_zone  # noqa: E402 - the same

__all__ = [
    "CronRefused",
    "Crontab",
    "convert",
    "convert_cron_hour",
    "monotonic",
    "next_firings",
    "now",
    "parse_instant",
    "pause",
    "read_zone",
    "shown",
    "zone",
]
