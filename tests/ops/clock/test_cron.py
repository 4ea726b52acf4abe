"""One crontab line: its strict grammar, held against Celery's own parser, and when it fires, against naive scanning."""

import random
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
from celery.schedules import crontab
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from ops.clock import Crontab, next_firings
from tests.ops.clock.naive import NAMES, STEADY, parsed, random_line, scan

NEW_YORK = "America/New_York"
KEYWORDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def values(line: Crontab) -> list[set[int]]:
    return [set(found) for found in (line.minutes, line.hours, line.days, line.months, line.weekdays)]


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("0 1 * * *", "celery"),
        ("*/15 9-17 1,15 * mon-fri", "celery"),
        ("0 22-2 * 11-2 sat-mon", "celery"),
        ("05 01 * JAN,feb SUN", "celery"),
        ("58-17/4 0-23/5 25-5/3 oct-mar/2 */3", "celery"),
        ("0 1 * * 0-6", "celery"),
        ("0 1 1-31 * 7", "vixie"),
        ("0 1 * * 5-7", "vixie"),
        ("0 1 * * 0-7", "vixie"),
        ("0 1 * * 1-7/2", "vixie"),
        ("0 1 * * mon,wed", "vixie"),
        ("0 1 */2 * 1", "vixie"),
    ],
)
def test_a_line_is_read_as_the_naive_parser_reads_it(text: str, dialect: str) -> None:
    line = Crontab.parse(text, dialect)
    assert (values(line), line.either) == parsed(text, dialect)


def test_full_names_are_celerys() -> None:
    line = Crontab.parse("0 1 * January monday-Friday")
    assert (line.months, line.weekdays) == ({1}, {1, 2, 3, 4, 5})


def test_celery_expands_each_line_that_is_accepted_to_the_same_values() -> None:
    chance, same = random.Random(1), 0
    for _ in range(2_000):
        text = random_line(chance, "celery")
        try:
            ours = Crontab.parse(text)
        except ValueError:
            with pytest.raises(ValueError, match="never occurs"):
                crontab(**dict(zip(KEYWORDS, text.split(), strict=True)))
            continue
        theirs: Any = crontab(**dict(zip(KEYWORDS, text.split(), strict=True)))
        found = [theirs.minute, theirs.hour, theirs.day_of_month, theirs.month_of_year, theirs.day_of_week]
        assert values(ours) == found, text
        same += 1
    assert same > 1_900


MINUTE = "write 0, 0-59, *, */2 or 0-59/2, joined by commas."
GRAMMAR = [
    ("0 24 * * *", "in its hour, 24 is out of range: write a number from 0 to 23."),
    ("0 1 0 * *", "in its day of month, 0 is out of range: write a number from 1 to 31."),
    ("0 1 * 13 *", "in its month, 13 is out of range: write a number from 1 to 12."),
    ("0 1 * * 8", "in its day of week, 8 is out of range: write a number from 0 to 6."),
    ("0 1 * * 7", "in its day of week, 7 is out of range: write a number from 0 to 6, where Sunday is 0."),
    ("0 1 * * mond-x", "in its day of week, 'mond' is no name: write a number from 0 to 6, or a name such as mon."),
    ("0 1 * mon *", "in its month, 'mon' is no name: write a number from 1 to 12, or a name such as feb."),
    ("mon 1 * * *", "in its minute, 'mon' is no name: write a number from 0 to 59."),
    ("1-5-7 * * * *", f"in its minute, '1-5-7' is not a number, a range or a step: {MINUTE}"),
    ("*/5-10 * * * *", f"in its minute, '*/5-10' is not a number, a range or a step: {MINUTE}"),
    ("1,,2 * * * *", f"in its minute, '' is not a number, a range or a step: {MINUTE}"),
    ("-1 * * * *", f"in its minute, '-1' is not a number, a range or a step: {MINUTE}"),
    ("*5 * * * *", f"in its minute, '*5' is not a number, a range or a step: {MINUTE}"),
    ("\u0663 * * * *", f"in its minute, '\u0663' is not a number, a range or a step: {MINUTE}"),
    ("*/0 * * * *", "in its minute, '*/0' has the step 0: write a step of at least 1, or none."),
    ("5/15 * * * *", "in its minute, '5/15' has a step without a range: write 5-59/15, or 5."),
    ("0 1 * *", "it has 4 fields; write 5, minute hour day-of-month month day-of-week."),
    ("0 1 * * * *", "it has 6 fields; write 5, minute hour day-of-month month day-of-week."),
    ("x", "it has 1 field; write 5, minute hour day-of-month month day-of-week."),
    ("", "it has 0 fields; write 5, minute hour day-of-month month day-of-week."),
]


@pytest.mark.parametrize(("text", "why"), GRAMMAR)
def test_what_is_no_crontab_is_refused_with_what_to_write(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="is no crontab") as refused:
        Crontab.parse(text)
    assert str(refused.value) == f"{text!r} is no crontab: {why}"


@pytest.mark.parametrize("field", ["5L", "L", "1W", "?", "1#2", "H", "1~5", "1--2", "1-", "/5", "*/", "*/x", "1 -2"])
def test_what_other_crons_have_is_refused(field: str) -> None:
    for dialect in ("celery", "vixie"):
        with pytest.raises(ValueError, match="is no crontab"):
            Crontab.parse(f"0 1 * * {field}", dialect)


BACKWARDS = "goes backwards, which Vixie cron does not read: write"
WORDS = "@yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 1 * * 8", "in its day of week, 8 is out of range: write a number from 0 to 7."),
        ("0 22-2 * * *", f"in its hour, '22-2' {BACKWARDS} 0-2,22-23."),
        ("0 1 * * sat-mon", f"in its day of week, 'sat-mon' {BACKWARDS} 0-1,6."),
        ("0 1 * * mon-sun", f"in its day of week, 'mon-sun' {BACKWARDS} 0,1-6."),
        (
            "0 1 * * monday",
            "in its day of week, 'monday' is no name: write a number from 0 to 7, or a name such as mon.",
        ),
        ("@often", f"write five fields, or one of {WORDS}."),
    ],
)
def test_vixie_cron_refuses_what_it_does_not_read(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="is no crontab") as refused:
        Crontab.parse(text, "vixie")
    assert str(refused.value) == f"{text!r} is no crontab: {why}"


def test_a_job_at_boot_has_no_time() -> None:
    with pytest.raises(
        ValueError, match=r"^'@reboot' has no time, so there is nothing to compute: write five fields\.$"
    ):
        Crontab.parse("@reboot", "vixie")


def test_words_of_vixie_cron_stand_for_five_fields() -> None:
    assert str(Crontab.parse(" @Daily ", "vixie")) == "0 0 * * *"
    assert str(Crontab.parse("@weekly", "vixie")) == "0 0 * * 0"
    with pytest.raises(ValueError, match=r"'@daily' is a word of Vixie cron that Celery does not have: write '0 0 "):
        Crontab.parse("@daily")


def test_another_dialect_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^'quartz' is not a dialect of crontabs: write celery or vixie\.$"):
        Crontab.parse("0 1 * * *", "quartz")


def test_dates_that_do_not_exist_never_fire() -> None:
    for text, what in (("0 1 30 2 *", "February has no day 30"), ("0 1 31 4,6 1", "April and June have no day 31")):
        with pytest.raises(ValueError, match="never fires") as refused:
            Crontab.parse(text)
        assert str(refused.value) == f"{text!r} never fires: {what}; Celery refuses it."
    line = Crontab.parse("0 1 30 2 *", "vixie")
    assert line.fires_never
    assert list(line.instants("UTC", datetime(2026, 1, 1, tzinfo=UTC))) == []
    # Vixie cron's OR: the Sundays.
    assert not Crontab.parse("0 1 30 2 0", "vixie").fires_never


def test_lines_are_equal_by_text_and_dialect() -> None:
    assert Crontab.parse("0  1 * * *") == Crontab.parse("0 1 * * *")
    assert Crontab.parse("0 1 * * *") != Crontab.parse("0 1 * * *", "vixie")
    assert len({Crontab.parse("0 1 * * *"), Crontab.parse("0 1 * * *")}) == 1


def test_29_february_on_a_monday_is_waited_for_over_40_years() -> None:
    line = Crontab.parse("0 0 29 2 1")
    found = list(islice(line.instants("UTC", datetime(2072, 3, 1, tzinfo=UTC)), 2))
    assert found == [datetime(2112, 2, 29, tzinfo=UTC), datetime(2140, 2, 29, tzinfo=UTC)]


def test_what_clocks_skip_each_time_ends() -> None:
    # On a 29 March that is a Sunday, clocks in Paris go from 02:00 to 03:00.
    line = Crontab.parse("30 2 29 3 0")
    after = datetime(2026, 1, 1, tzinfo=UTC)
    assert next(line.instants("Europe/Paris", after), None) is None
    assert next(line.instants("Europe/Paris", after, civil=True)) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(text: str, day: str, *, civil: bool) -> list[str]:
    """Return when a line fires in New York on one day, in UTC."""
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(NEW_YORK))
    end = begin + timedelta(days=1)
    found = Crontab.parse(text).instants(
        NEW_YORK, begin - timedelta(minutes=1), end - timedelta(minutes=1), civil=civil
    )
    return [f"{instant:%H:%M}" for instant in found]


@pytest.mark.parametrize(
    ("text", "day", "literal", "civil"),
    [
        # Clocks go from 02:00 (07:00 UTC) to 03:00.
        ("30 2 * * *", "2027-03-14", [], ["07:00"]),
        ("0,30 2 * * *", "2027-03-14", [], ["07:00"]),
        ("0 2,3 * * *", "2027-03-14", ["07:00"], ["07:00"]),
        ("30 2,3 * * *", "2027-03-14", ["07:30"], ["07:00", "07:30"]),
        ("0 1-4 * * *", "2027-03-14", ["06:00", "07:00", "08:00"], ["06:00", "07:00", "08:00"]),
        ("30 */2 * * *", "2027-03-14", [f"{h:02}:30" for h in (5, 8, 10, 12, 14, 16, 18, 20, 22, 0, 2)], None),
        # From 02:00 (06:00 UTC) back to 01:00.
        ("30 1 * * *", "2027-11-07", ["05:30", "06:30"], ["05:30"]),
        ("30 1,2 * * *", "2027-11-07", ["05:30", "06:30", "07:30"], ["05:30", "07:30"]),
        ("0 * * * *", "2027-11-07", [f"{h % 24:02}:00" for h in range(4, 29)], None),
    ],
)
def test_a_change_of_clocks(text: str, day: str, literal: list[str], civil: list[str] | None) -> None:
    assert times(text, day, civil=False) == literal
    assert times(text, day, civil=True) == (literal if civil is None else civil)


def test_a_whole_day_that_a_zone_skips_is_due_once_when_it_is_over() -> None:
    # Samoa had no 30 December 2011.
    line, after = Crontab.parse("0 1,2 30 12 *"), utc("2011-12-01")
    assert next(line.instants("Pacific/Apia", after)).year == 2012
    assert next(line.instants("Pacific/Apia", after, civil=True)) == utc("2011-12-30T10:00")


def test_an_hour_had_twice_across_midnight_comes_in_its_order() -> None:
    # St John's clocks went back at 00:01, to 23:01 of the day before.
    line = Crontab.parse("0,30 0,23 * * *")
    found = list(islice(line.instants("America/St_Johns", utc("2010-11-07T01:00")), 6))
    assert found == sorted(set(found))
    local = [f"{one.astimezone(ZoneInfo('America/St_Johns')):%d %H:%M}" for one in found]
    assert local == ["06 23:00", "06 23:30", "07 00:00", "06 23:30", "07 00:00", "07 00:30"]


def test_the_end_is_included_and_the_beginning_is_not() -> None:
    line = Crontab.parse("0 1 * * *")
    found = list(line.instants("UTC", utc("2026-01-01T01:00"), utc("2026-01-03T01:00")))
    assert found == [utc("2026-01-02T01:00"), utc("2026-01-03T01:00")]
    assert {one.tzinfo for one in found} == {UTC}


def test_seconds_after_a_firing_it_is_over() -> None:
    line = Crontab.parse("* * * * *")
    assert next(line.instants("UTC", utc("2026-01-01T01:00:00.000001"))) == utc("2026-01-01T01:01")


def test_matches_looks_at_the_minute() -> None:
    line = Crontab.parse("30 1 * * 1")
    assert line.matches(datetime(2026, 11, 23, 1, 30, 59))
    assert not line.matches(datetime(2026, 11, 24, 1, 30))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([NEW_YORK, "Australia/Lord_Howe", "Asia/Seoul", "-03:30"]), st.booleans())
def test_firings_are_those_of_a_scan_of_each_minute(seed: int, zone: str, spring: bool) -> None:
    chance = random.Random(seed)
    dialect = chance.choice(["celery", "vixie"])
    hours = chance.choice(["*", "*/2", "1,2,3", "0-4"])
    line = f"{random_line(chance, dialect).split()[0]} {hours} * * {random_line(chance, dialect).split()[4]}"
    begin = utc(f"2027-{'03-13' if spring else '10-30'}T18:00") + timedelta(days=chance.randint(0, 22))
    wanted = scan([line], zone, begin, 3 * 1440, dialect)
    found = Crontab.parse(line, dialect).instants(
        zone, begin - timedelta(minutes=1), begin + timedelta(minutes=3 * 1440 - 1)
    )
    assert [(one - begin) // timedelta(minutes=1) for one in found] == [at for at, fires in enumerate(wanted) if fires]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([zone for zone in STEADY if zone[0] not in "+-"]))
def test_celery_itself_fires_at_the_same_instants_where_clocks_do_not_change(seed: int, zone: str) -> None:
    chance = random.Random(seed)
    text, place = random_line(chance, "celery"), ZoneInfo(zone)
    try:
        Crontab.parse(text)
    except ValueError:
        reject()  # 30 February
    at = utc("2026-01-01") + timedelta(minutes=chance.randint(0, 10**6))
    theirs: Any = crontab(**dict(zip(KEYWORDS, text.split(), strict=True)), nowfun=lambda: at.astimezone(place))
    theirs.tz = place
    for firing in next_firings(text, zone, at, 5):
        start, delta, _ = theirs.remaining_delta(at.astimezone(place))
        assert (start + delta).astimezone(UTC) == firing, text
        at = firing


def test_next_firings_are_in_the_zone_and_strictly_after() -> None:
    found = next_firings("0 1 * * *", "Asia/Seoul", datetime(2026, 11, 25, 16, tzinfo=UTC), 2)
    assert [one.isoformat() for one in found] == ["2026-11-27T01:00:00+09:00", "2026-11-28T01:00:00+09:00"]
    assert all(a < b for a, b in pairwise(found))


def test_next_firings_take_zones_of_all_kinds() -> None:
    after = utc("2026-11-25")
    zones: list[Any] = ["Asia/Seoul", "+09:00", "+0900", ZoneInfo("Asia/Seoul"), pytz.timezone("Asia/Seoul")]
    zones += [pytz.FixedOffset(540)]
    assert {next_firings("0 1 * * *", zone, after, 1)[0] for zone in zones} == {utc("2026-11-25T16:00")}
    localized = pytz.timezone("Asia/Seoul").localize(datetime(2026, 11, 25, 9))
    assert next_firings("0 1 * * *", "UTC", localized, 1) == [utc("2026-11-25T01:00")]
    assert next_firings("0 0 30 2 *", "UTC", after, 3, "vixie") == []


def test_an_instant_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="has no zone") as refused:
        next_firings("0 1 * * *", "UTC", datetime(2026, 11, 25), 1)
    assert str(refused.value) == (
        "2026-11-25T00:00:00 has no zone, so it is no instant: give it one, as in "
        "datetime(2026, 12, 1, tzinfo=ZoneInfo('Asia/Seoul'))."
    )
    attached = datetime(2026, 11, 25, tzinfo=pytz.timezone("Asia/Seoul"))
    with pytest.raises(ValueError, match="pytz") as refused:
        next_firings("0 1 * * *", "UTC", attached, 1)
    assert str(refused.value) == (
        "2026-11-25T00:00:00+08:28 has an offset that Asia/Seoul does not have then, as where a zone of pytz is "
        "attached by tzinfo=: use pytz.timezone('Asia/Seoul').localize(..), or zoneinfo.ZoneInfo('Asia/Seoul')."
    )
    with pytest.raises(
        ValueError, match=r"^0001-01-01T00:00:00\+09:00 is no instant in UTC: it lies at an end of time\.$"
    ):
        next_firings("0 1 * * *", "UTC", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9))), 1)
    assert next_firings("0 1 * * *", "America/New_York", datetime(9999, 12, 31, tzinfo=UTC), 1) == []
    assert next_firings("0 1 * * *", "America/New_York", datetime(1, 1, 1, tzinfo=UTC), 1) != []
    for count in (-1, True, 1.5):
        with pytest.raises(ValueError, match="is not a number of firings: give a whole number of at least 0"):
            next_firings("0 1 * * *", "UTC", utc("2026-11-25"), count)  # type: ignore[arg-type] # - refused


def test_names_are_those_of_the_calendar() -> None:
    for at, name in enumerate(NAMES):
        field = f"0 1 * {name} *" if at < 12 else f"0 1 * * {name}"
        line = Crontab.parse(field)
        assert (line.months if at < 12 else line.weekdays) == {at + 1 if at < 12 else at - 12}
