"""Crontab lines of one zone as lines of another: what people expect to read, and every refusal's sentence."""

import random
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
from hypothesis import given, settings
from hypothesis import strategies as st

from ops import clock
from ops.clock import CronRefused, convert, convert_cron_hour
from tests.ops.clock.naive import STEADY, expand, random_line, scan

SEOUL, NEW_YORK = "Asia/Seoul", "America/New_York"
PERIOD: dict[str, Any] = {"start": "2023-12-25", "end": "2028-03-10"}


@pytest.mark.parametrize(
    ("given", "zones", "lines"),
    [
        ("0 1 * * *", (SEOUL, "UTC"), ["0 16 * * *"]),
        ("0 1 * * 1", (SEOUL, "UTC"), ["0 16 * * 0"]),
        ("0 1 * * mon-fri", (SEOUL, "UTC"), ["0 16 * * 0-4"]),
        ("0 8-10 * * 1-5", (SEOUL, "UTC"), ["0 23 * * 0-4", "0 0,1 * * 1-5"]),
        ("*/15 * * * *", (SEOUL, "UTC"), ["*/15 * * * *"]),
        ("0 */2 * * *", ("UTC", SEOUL), ["0 1-23/2 * * *"]),
        ("0 1 2-5 * *", (SEOUL, "UTC"), ["0 16 1-4 * *"]),
        ("0 1 1 5 *", (SEOUL, "UTC"), ["0 16 30 4 *"]),
        ("0 1 1 1 *", (SEOUL, "UTC"), ["0 16 31 12 *"]),
        ("0 20 31 * *", ("UTC", SEOUL), ["0 5 1 1,2,4,6,8,9,11 *"]),
        ("0 20 30 * *", ("UTC", SEOUL), ["0 5 31 * *", "0 5 1 5,7,10,12 *"]),
        ("0 20 28-31 * *", ("UTC", SEOUL), ["0 5 1,29-31 * *"]),
        ("0 20 * 1 *", ("UTC", SEOUL), ["0 5 2-31 1 *", "0 5 1 2 *"]),
        ("0 1 * * 1", (SEOUL, "+05:45"), ["45 21 * * 0"]),
        ("*/20 23 * * *", (SEOUL, "Asia/Kolkata"), ["30,50 19 * * *", "10 20 * * *"]),
        ("*/7 * * * *", (SEOUL, "Asia/Kolkata"), ["5,12,19,26,30,37,44,51,58 * * * *"]),
        ("30 0 15 * *", ("+14:00", "-12:00"), ["30 22 13 * *"]),
        ("0 1 1 * *", (SEOUL, "Asia/Tokyo"), ["0 1 1 * *"]),
        (["0 1 * * 1", "0 1 * * 2"], (SEOUL, "UTC"), ["0 16 * * 0,1"]),
        (["0 1 * * *", "0 1,2 * * 1"], ("UTC", SEOUL), ["0 10 * * *", "0 11 * * 1"]),
        # Both have daylight saving time, and change at the same instants.
        ("30 2 * * 0", ("Europe/Paris", "Europe/Berlin"), ["30 2 * * 0"]),
        # They change an hour apart, when nothing fires.
        ("0 12 * * *", (NEW_YORK, "America/Chicago"), ["0 11 * * *"]),
        # The difference changes, and does not matter.
        ("*/15 * * * *", ("Europe/London", "UTC"), ["*/15 * * * *"]),
        ("*/30 * * * *", ("Australia/Lord_Howe", "UTC"), ["0,30 * * * *"]),
    ],
)
def test_a_line_reads_as_a_person_would_write_it(given: Any, zones: tuple[str, str], lines: list[str]) -> None:
    assert convert(given, *zones, **PERIOD) == lines


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("0 1 * * 7", ["0 16 * * 6"]),
        ("0 1 * * 5-7", ["0 16 * * 4-6"]),
        ("@daily", ["0 15 * * *"]),
        ("0 12 1 * 5", ["0 3 1 * *", "0 3 2-31 * 5"]),
        ("0 12 */2 * 1", ["0 3 */2 * 1"]),
        ("0 1 1-31 * 1", ["0 16 * * *"]),
    ],
)
def test_a_line_of_vixie_cron_becomes_lines_of_celery(given: str, lines: list[str]) -> None:
    assert convert(given, SEOUL, "UTC", "vixie", **PERIOD) == lines


COMMON, LEAP = "in common years and not in leap years", "in leap years and not in common years"


def reason(given: Any, zones: tuple[str, str]) -> str:
    """Return why a conversion is refused."""
    with pytest.raises(CronRefused) as refused:
        convert(given, *zones, **PERIOD)
    assert not isinstance(refused.value, ValueError)
    assert refused.value.reason == str(refused.value)
    return refused.value.reason


@pytest.mark.parametrize(
    ("given", "zones", "said", "when"),
    [
        ("0 1 1 * *", (SEOUL, "UTC"), "'0 1 1 * *'", f"at 16:00 on 28 February {COMMON}"),
        (["0 20 29 2 *", "* * * 5 *"], ("UTC", SEOUL), "'0 20 29 2 *' (and 1 more)", f"at 05:00 on 1 March {LEAP}"),
        ("0 20 28 * 1", ("UTC", SEOUL), "'0 20 28 * 1'", f"at 05:00 on 1 March if it is a Tuesday {COMMON}"),
    ],
)
def test_what_depends_on_the_length_of_february_is_refused(
    given: Any, zones: tuple[str, str], said: str, when: str
) -> None:
    assert reason(given, zones) == (
        f"{said} in {zones[0]} would have to fire in {zones[1]} {when}, which no crontab line can say: "
        f"give the schedule the zone {zones[0]} instead."
    )


@pytest.mark.parametrize(
    ("given", "zones", "first", "then"),
    [
        ("0 9 * * *", (NEW_YORK, "UTC"), "+05:00", "+04:00 from 2024-03-10 on"),
        ("0 12 15 7 *", (NEW_YORK, SEOUL), "+14:00", "+13:00 from 2024-03-10 on"),
        # An hour's difference for an hour, in which it fires.
        ("30 1 * * *", (NEW_YORK, "America/Chicago"), "-01:00", "+00:00 from 2024-11-03 on"),
        # A change for good: Almaty moved to UTC+5 on 1 March 2024.
        ("0 9 * * *", ("Asia/Almaty", "UTC"), "-06:00", "-05:00 from 2024-02-29 on"),
    ],
)
def test_what_depends_on_a_change_of_clocks_is_refused(
    given: str, zones: tuple[str, str], first: str, then: str
) -> None:
    assert reason(given, zones) == (
        f"{given!r} can't be kept in {zones[1]}: it is {first} from {zones[0]} at 2023-12-25 but {then}, and no "
        f"crontab line follows that: give the schedule the zone {zones[0]} instead."
    )


def test_a_period_of_common_years_says_more() -> None:
    period = {"start": "2025-01-01", "end": "2026-01-01"}
    assert convert("0 1 1 * *", SEOUL, "UTC", **period) == ["0 16 31 * *", "0 16 28 2 *", "0 16 30 4,6,9,11 *"]
    assert convert("0 1 * * *", SEOUL, "UTC", **period) == ["0 16 * * *"]
    assert convert("0 20 28 * *", "UTC", SEOUL, **period) == ["0 5 29 * *", "0 5 1 3 *"]


def test_a_period_of_a_leap_year_says_more() -> None:
    assert convert("0 1 1 3 *", SEOUL, "UTC", start="2028-01-01", end="2029-01-01") == ["0 16 29 2 *"]


def test_a_line_that_does_not_fire_within_the_period_is_refused() -> None:
    with pytest.raises(CronRefused) as refused:
        convert("0 1 29 2 *", SEOUL, "UTC", start="2025-01-01", end="2026-01-01")
    assert refused.value.reason == (
        "'0 1 29 2 *' does not fire from 2025-01-01 to 2026-01-01, so there is no line to give: take a longer period."
    )


def test_a_period_without_a_change_of_clocks_can_be_said() -> None:
    assert convert("0 9 * * *", NEW_YORK, "UTC", start="2027-03-15", end="2027-11-07") == ["0 13 * * *"]
    winter = {"start": date(2027, 11, 8), "end": datetime(2028, 3, 12, 23, tzinfo=UTC)}
    assert convert("0 9 * * *", NEW_YORK, "UTC", **winter) == ["0 14 * * *"]


def test_offsets_of_seconds_are_refused() -> None:
    # Liberia was 44 minutes and 30 seconds behind until 1972.
    with pytest.raises(CronRefused) as refused:
        convert("0 9 * * *", "Africa/Monrovia", "UTC", start="1970-01-01", end="1971-01-01")
    assert refused.value.reason == (
        "The offset of Africa/Monrovia at 1970-01-01 is -00:44:30, and no crontab line knows seconds: give the "
        "schedule the zone Africa/Monrovia instead, or a later period."
    )


@pytest.mark.parametrize(
    ("today", "change", "outcome"),
    [
        # Moscow left its summer time for good on 26 October 2014.
        ("2014-12-26", "Europe/Moscow", "+03:00"),
        ("2014-12-25", "Europe/Moscow", "refused"),
        ("2010-01-05", "Europe/Moscow", "refused"),
    ],
)
def test_the_default_period_is_from_last_christmas_on(
    monkeypatch: pytest.MonkeyPatch, today: str, change: str, outcome: str
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime.fromisoformat(today).replace(hour=3, tzinfo=UTC))
    if outcome == "refused":
        with pytest.raises(CronRefused, match="can't be kept"):
            convert("0 9 * * *", change, "UTC")
    else:
        assert convert("0 9 * * *", change, "UTC") == ["0 6 * * *"]


DAY, MINUTE = "2026-01-01", "in its minute, 60 is out of range: write a number from 0 to 59."
ZONES = "give a name such as Asia/Seoul, or an offset such as +09:00."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"lines": []}, "There is no crontab line to convert: give one, such as '0 1 * * *', or a list of them."),
        (
            {"start": "2026-01-01", "end": "2026-01-01"},
            f"The period from {DAY} to {DAY} has no day: give an end after its start.",
        ),
        (
            {"start": "0001-01-01"},
            "The period from 0001-01-01 to 0006-03-10 is out of reach: take days from 1800 to 2999.",
        ),
        ({"start": "Christmas"}, "The start 'Christmas' is not a date: write it as 2026-12-25."),
        ({"end": "2026-02-30"}, "The end '2026-02-30' is not a date: write it as 2026-12-25."),
        ({"lines": "0 1 30 2 *", "dialect": "vixie"}, "'0 1 30 2 *' never fires: February has no day 30."),
        (
            {"lines": ["0 1 * * *", "60 * * * *"]},
            f"'60 * * * *' is no crontab: {MINUTE}",
        ),
        ({"target_zone": "Asia/Soul"}, "'Asia/Soul' is not a time zone: did you mean Asia/Seoul?"),
        ({"target_zone": "asia/seoul"}, "'asia/seoul' is not a time zone: did you mean Asia/Seoul?"),
        ({"target_zone": "new york"}, "'new york' is not a time zone: did you mean America/New_York?"),
        ({"target_zone": "qqq"}, f"'qqq' is not a time zone: {ZONES}"),
        ({"target_zone": "../etc/passwd"}, f"'../etc/passwd' is not a time zone: {ZONES}"),
        ({"target_zone": "+25:00"}, f"'+25:00' is not a time zone: {ZONES}"),
        ({"target_zone": 9}, f"9 is not a time zone: {ZONES}"),
    ],
)
def test_what_is_no_crontab_no_zone_and_no_period_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"crontab|zone|period|date|never") as refused:
        convert(**{"lines": "0 1 * * *", "source_zone": SEOUL, "target_zone": "UTC", **arguments})
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "zone",
    [
        " Asia/Seoul ",
        "+09:00",
        "+0900",
        "+9",
        "GMT+09:00",
        ZoneInfo(SEOUL),
        pytz.timezone(SEOUL),
        pytz.FixedOffset(540),
    ],
)
def test_zones_of_all_kinds_are_read(zone: Any) -> None:
    assert convert("0 1 * * *", zone, "Z") == convert("0 1 * * *", zone, pytz.utc) == ["0 16 * * *"]


def test_offsets_behind_utc_are_read() -> None:
    assert convert("0 1 * * *", "-0330", UTC) == convert("0 1 * * *", "-03:30", "UTC") == ["30 4 * * *"]


def test_the_old_helper_gives_the_hour_in_seoul() -> None:
    assert [convert_cron_hour(hour) for hour in range(24)] == [*range(9, 24), *range(9)]
    assert convert_cron_hour("1") == 10
    for wrong in (-1, 24, True, 1.0, None, "x", "", " 1", "1-5", "*", "\u0661"):
        with pytest.raises(ValueError, match="a whole number from 0 to 23") as refused:
            convert_cron_hour(wrong)  # type: ignore[arg-type] # - refused
        assert str(refused.value).startswith(f"{wrong!r} is not an hour")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(STEADY), st.sampled_from(STEADY))
def test_there_and_back_is_the_same_schedule(seed: int, there: str, back: str) -> None:
    # A common year and a leap year.
    line, period = random_line(random.Random(seed), "celery"), ("2027-01-01", "2029-01-01")
    try:
        made = convert(line, there, back, start=period[0], end=period[1])
    except (CronRefused, ValueError):
        return
    again = convert(made, back, there, start=period[0], end=period[1])
    assert expand(again, there, *period) == (expand([line], there, *period)[0], False)


@pytest.mark.parametrize("zone", [NEW_YORK, "Australia/Lord_Howe", "Asia/Kathmandu", "-03:30"])
def test_the_expansion_that_all_is_held_against_agrees_with_a_scan_of_each_minute(zone: str) -> None:
    lines = ["*/7 1-3,12 * * *", "30 2 13-15 3 0"]
    found, _ = expand(lines, zone, "2027-03-10", "2027-04-06")
    assert found == scan(lines, zone, datetime(2027, 3, 10, tzinfo=UTC), len(found))
