"""Instants as people write them, in the project's zone, and as they are shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops import clock

SEOUL = "Asia/Seoul"
NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-12-01", SEOUL, "2026-11-30T15:00:00+00:00"),
        (" 2026-12-01 ", SEOUL, "2026-11-30T15:00:00+00:00"),
        ("2026-12-01T00:00", SEOUL, "2026-11-30T15:00:00+00:00"),
        ("2026-12-01 09:30:15.5", SEOUL, "2026-12-01T00:30:15.500000+00:00"),
        ("2026-12-01T00:00+09:00", NEW_YORK, "2026-11-30T15:00:00+00:00"),
        ("2026-12-01T00:00Z", SEOUL, "2026-12-01T00:00:00+00:00"),
        ("2026-12-01T00:00-05:30", SEOUL, "2026-12-01T05:30:00+00:00"),
        ("2026-12-01", NEW_YORK, "2026-12-01T05:00:00+00:00"),
        ("2026-07-01", NEW_YORK, "2026-07-01T04:00:00+00:00"),
        ("2028-02-29", SEOUL, "2028-02-28T15:00:00+00:00"),
        # Around the hour that is skipped, and around the one that comes twice.
        ("2026-03-08T01:59:59", NEW_YORK, "2026-03-08T06:59:59+00:00"),
        ("2026-03-08T03:00", NEW_YORK, "2026-03-08T07:00:00+00:00"),
        ("2026-11-01T00:59:59", NEW_YORK, "2026-11-01T04:59:59+00:00"),
        ("2026-11-01T02:00", NEW_YORK, "2026-11-01T07:00:00+00:00"),
        ("2026-11-01T01:30-04:00", NEW_YORK, "2026-11-01T05:30:00+00:00"),
        ("2026-11-01T01:30-05:00", NEW_YORK, "2026-11-01T06:30:00+00:00"),
    ],
)
def test_an_instant_without_an_offset_is_meant_in_the_projects_zone(
    settings: Any, text: str, zone: str, instant: str
) -> None:
    settings.TIME_ZONE = zone
    found = clock.parse_instant(text)
    assert found.isoformat() == instant
    assert found.tzinfo is UTC


ADVICE = "write it as 2026-12-01, 2026-12-01T00:00 or 2026-12-01T00:00+09:00."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "tomorrow",
        "2026-13-01",
        "2026-02-29",
        "2026-12-01T25:00",
        "1.12.2026",
        "2026-12",
        "20:00",
        "1e9",
    ],
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not an instant") as refused:
        clock.parse_instant(text)
    assert str(refused.value) == f"{text!r} is not an instant: {ADVICE}"


@pytest.mark.parametrize("text", ["2026-03-08T02:00", "2026-03-08T02:30", "2026-03-08T02:59:59.999999"])
def test_a_local_time_that_clocks_skip_is_refused(settings: Any, text: str) -> None:
    settings.TIME_ZONE = NEW_YORK
    with pytest.raises(ValueError, match="does not exist") as refused:
        clock.parse_instant(text)
    assert str(refused.value) == f"{text!r} does not exist in America/New_York: clocks skip it; give an offset."


@pytest.mark.parametrize("text", ["2026-11-01T01:00", "2026-11-01T01:30", "2026-11-01T01:59:59.999999"])
def test_a_local_time_that_happens_twice_is_refused(settings: Any, text: str) -> None:
    settings.TIME_ZONE = NEW_YORK
    with pytest.raises(ValueError, match="happens twice") as refused:
        clock.parse_instant(text)
    assert str(refused.value) == f"{text!r} happens twice in America/New_York; give an offset."


def test_a_day_that_begins_in_a_gap_is_refused(settings: Any) -> None:
    # Midnight of 8 September 2024 does not exist in Santiago: the day begins at one o'clock.
    settings.TIME_ZONE = "America/Santiago"
    with pytest.raises(ValueError, match="'2024-09-08' does not exist in America/Santiago"):
        clock.parse_instant("2024-09-08")


@pytest.mark.parametrize(
    ("text", "zone"), [("0001-01-01", SEOUL), ("9999-12-31T23:59", NEW_YORK), ("9999-12-31T23:59-10:00", SEOUL)]
)
def test_an_instant_beyond_the_ends_of_time_is_refused(settings: Any, text: str, zone: str) -> None:
    settings.TIME_ZONE = zone
    with pytest.raises(ValueError, match="is not an instant") as refused:
        clock.parse_instant(text)
    assert str(refused.value) == f"{text!r} is not an instant: {ADVICE}"


def test_an_instant_is_shown_in_the_projects_zone(settings: Any) -> None:
    instant = datetime(2026, 11, 1, 5, 30, 59, 999_999, tzinfo=UTC)
    assert clock.shown(instant) == "2026-11-01 14:30:59 KST"
    settings.TIME_ZONE = NEW_YORK
    assert clock.shown(instant) == "2026-11-01 01:30:59 EDT"
    assert clock.shown(instant + timedelta(hours=1)) == "2026-11-01 01:30:59 EST"


def test_the_clock_is_aware_and_goes_forward() -> None:
    assert clock.now().tzinfo is UTC
    before = clock.monotonic()
    clock.pause(0.001)
    assert clock.monotonic() - before >= 0.001
