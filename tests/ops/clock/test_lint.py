"""What lint finds: held against Celery and the validators of django-celery-beat themselves."""

from datetime import UTC, datetime

import pytest

from ops.clock import Crontab, read_zone
from ops.clock.lint import lint
from ops.clock.words import in_words

NOW = datetime(2026, 11, 25, tzinfo=UTC)
DROPPED = "Celery refuses it, the beat admin takes it, and beat then drops the row without a word"


def found(text: str, zone: str | None = None) -> list[str]:
    return [one.found for one in lint(text, read_zone(zone) if zone else None, NOW).findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 1 * * *", []),
        ("*/15 9-17 * * 1-5", []),
        ("0 1 * jan mon", []),
        ("0 1 * * 7", [f"{DROPPED}: Invalid end range: 7 > 6."]),
        ("0 1 * * 0-7", [f"{DROPPED}: Invalid end range: 7 > 6."]),
        (
            "0 1 30 2 *",
            [
                f"{DROPPED}: Invalid crontab: day_of_month '30' never occurs in month_of_year '2'.",
                "It never fires: February has no day 30; Vixie cron takes it and stays silent.",
            ],
        ),
        (
            "1-5-7 * * * *",
            [
                "Celery takes it for '1-5 * * * *', which it does not say.",
                "The beat admin refuses what Celery takes: minute '1-5-7': Unknown cron range value \"1-5-7\".",
            ],
        ),
        (
            "*/5-10 * * * *",
            [
                "Celery takes it for '*/5 * * * *', which it does not say.",
                "The beat admin refuses what Celery takes: minute '*/5-10': \"No enumeration for Minutes: '5-10'\".",
            ],
        ),
        (
            "0 1 * * monday",
            [
                "The beat admin refuses what Celery takes: day of week 'monday': Unrecognised Day of Week: 'monday'.",
                "Vixie cron refuses what Celery takes.",
            ],
        ),
        (
            "0 22-2 * * *",
            [
                "The beat admin refuses what Celery takes: hour '22-2': Bad range '22-2'.",
                "Vixie cron refuses what Celery takes.",
            ],
        ),
        ("5/15 * * * *", ["Celery refuses it: Invalid weekday literal '5/15'."]),
        ("@daily", ["Celery refuses it: Celery has no @daily."]),
        ("0 1 1 * 1", ["Vixie cron fires where the day of month OR the day of week fits, Celery where both do."]),
        ("0 1 1-31 * 1", ["Vixie cron fires where the day of month OR the day of week fits, Celery where both do."]),
        ("*/7 * * * *", ["Its minute '*/7' is not every 7: from 56 to 0 it is 4."]),
        ("0 */5 * * *", ["Its hour '*/5' is not every 5: from 20 to 0 it is 4."]),
        ("0 0 * */5 *", ["Its month '*/5' is not every 5: from 11 to 1 it is 2."]),
        ("0 0 * * */2", ["Its day of week '*/2' is not every 2: from 6 to 0 it is 1."]),
        (
            "0 0 */2 * *",
            ["Its day of month '*/2' begins anew on the 1st of each month, whatever the last stride was."],
        ),
        ("0 */24 * * *", None),
    ],
)
def test_what_is_found_in_a_line(text: str, expected: list[str] | None) -> None:
    if expected is None:
        assert "Its hour '*/24' is 0 alone: no other value is so far on." in found(text)
    else:
        assert found(text) == expected


def test_every_finding_says_what_to_do() -> None:
    for text in ("0 1 * * 7", "1-5-7 * * * *", "0 22-2 * * *", "0 1 1 * 1", "*/7 * * * *", "@daily", "0 1 30 2 *"):
        assert [one for one in lint(text).findings if not one.advice.endswith(".")] == []


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("30 2 * * *", "America/New_York", ["Clocks in America/New_York skip 02:30 on 2027-03-14."]),
        ("30 1 * * *", "America/New_York", ["Clocks in America/New_York have 01:30 twice on 2027-11-07."]),
        ("30 3 * * *", "America/New_York", []),
        ("30 * * * *", "America/New_York", []),
        ("30 2 * * *", "Asia/Seoul", []),
        # Only where it is due on that day.
        ("30 2 * * 1", "America/New_York", []),
    ],
)
def test_times_that_clocks_change_are_found(text: str, zone: str, expected: list[str]) -> None:
    assert found(text, zone) == expected


def test_readers_are_told_with_what_they_read() -> None:
    readers = {one.name: (one.reads, one.refusal) for one in lint("0 1 1-31 * 7").readers}
    assert readers == {
        "Celery": ("", "Invalid end range: 7 > 6"),
        "beat admin": ("takes it, for Celery to read", ""),
        "Vixie cron": ("0 1 1-31 * 0 (day of month OR day of week)", ""),
    }
    assert lint("0 1 1 * 1").readers[0].reads == "0 1 1 * 1 (day of month AND day of week)"


@pytest.mark.parametrize("text", ["", "0 1 * *", "@often", "@reboot", "0 1 * * * *"])
def test_what_has_no_five_fields_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no crontab|no time"):
        lint(text)


DAYS = "on days 1, 10, 19 and 28 of the month"


@pytest.mark.parametrize(
    ("text", "dialect", "words"),
    [
        ("* * * * *", "celery", "Every minute, every day."),
        ("*/7 * * * *", "celery", "At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour, every day."),
        ("* 9-17 1,15 6 *", "celery", "Every minute of hours 9 to 17, on days 1 and 15 of the month in June."),
        ("5-50/15 9-17 * * 1-5", "celery", "At minutes 5, 20, 35 and 50 of hours 9 to 17, on Monday to Friday."),
        ("0 1 * * sat-mon", "celery", "At 01:00 on Monday, Saturday and Sunday."),
        ("0 12 13 * 5,6", "celery", "At 12:00 on day 13 of each month, but only if that is a Friday or Saturday."),
        ("0 12 13 * 5", "vixie", "At 12:00 on day 13 of each month, and also on every Friday."),
        ("0 12 13 * 0-6", "vixie", "At 12:00 every day."),
        ("0 12 */9 1-3 5", "vixie", f"At 12:00 {DAYS} in January to March, but only if that is a Friday."),
    ],
)
def test_words(text: str, dialect: str, words: str) -> None:
    assert in_words(Crontab.parse(text, dialect)) == words
