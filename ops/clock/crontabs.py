"""Whole crontabs from one zone to another: comments, blank lines, variables and commands stay as they are."""

import re
from collections.abc import Iterator
from datetime import date, tzinfo
from typing import Any

from ops.clock.converting import CronRefused, convert
from ops.clock.cron import Crontab
from ops.clock.zones import read_zone, zone_name

VARIABLE = re.compile(r"\s*[A-Za-z_]\w*\s*=")
CRON_TZ = re.compile(r"""\s*CRON_TZ\s*=\s*(["']?)(?P<zone>[^"'#]*?)\1\s*""")
JOB = re.compile(r"\s*(?P<when>@\S+|\S+(?:\s+\S+){4})(?P<command>\s.*)?")
BOTH = "# Celery's AND: both the day of month and the day of week must fit. Vixie cron would take either."


def convert_file(
    text: str,
    source_zone: str | tzinfo,
    target_zone: str | tzinfo,
    dialect: str = "celery",
    *,
    start: date | str | None = None,
    end: date | str | None = None,
) -> list[str]:
    """Return a crontab's lines for another zone; each job is converted by itself and keeps its command.

    `CRON_TZ=` says the zone of the lines below it, and becomes the target's; `@reboot` stays. Raises CronRefused and
    ValueError that name the line; then nothing is converted.
    """
    return list(_converted(text, source_zone, read_zone(target_zone), dialect, start=start, end=end))


def _converted(text: str, source: str | tzinfo, target: tzinfo, dialect: str, **period: Any) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if not line.strip() or line.lstrip().startswith("#"):
                yield line
            elif match := CRON_TZ.fullmatch(line):
                source = read_zone(match["zone"])
                name = zone_name(target)
                # Cron knows names of zones, not offsets.
                yield f"# {line.strip()}, now {name}" if name[0] in "+-" else f"CRON_TZ={name}"
            elif VARIABLE.match(line):
                yield line
            else:
                yield from _job(line, source, target, dialect, **period)
        except ValueError as exc:
            raise ValueError(f"Line {number}: {exc}") from exc
        except CronRefused as exc:
            raise CronRefused(f"Line {number}: {exc}") from exc


def _job(line: str, source: str | tzinfo, target: tzinfo, dialect: str, **period: Any) -> Iterator[str]:
    match = JOB.fullmatch(line)
    if match is None:
        Crontab.parse(line, dialect)  # says that there are too few fields
        return
    if match["when"].lower() == "@reboot":
        yield line
        return
    for made in convert(match["when"], source, target, dialect, **period):
        if ambiguous(made):
            yield BOTH
        yield f"{made}{match['command'] or ''}"


def ambiguous(line: str) -> bool:
    """Tell whether Celery and Vixie cron would combine the days of a line differently."""
    return Crontab.parse(line, "vixie").either
