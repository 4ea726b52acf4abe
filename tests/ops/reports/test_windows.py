"""Windows: half-open, whole local days, in every zone and on the days on which clocks do something odd."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ops.reports.windows import NAMED, BadWindow, midnight, resolve
from tests.ops.reports.reference import PECULIAR, day_of, holds, instants_around

SEOUL = ZoneInfo("Asia/Seoul")
COUNTED = st.builds(
    "last_{}_{}".format, st.integers(1, 40), st.sampled_from(["days", "weeks", "months", "quarters", "years"])
)
NAMES = st.one_of(st.sampled_from(NAMED), COUNTED)
ZONES = sorted(available_timezones() - {"localtime", "posixrules", "Factory"})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("Asia/Seoul", "2026-03-01", "2026-02-28T15:00Z"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00Z"),  # at 01:00, as there is no 00:00
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00Z"),  # the day before had 25 hours
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00Z"),
        ("Asia/Beirut", "2022-03-27", "2022-03-26T22:00Z"),
        ("Africa/Cairo", "2023-04-28", "2023-04-27T22:00Z"),
        ("America/Havana", "2019-11-03", "2019-11-03T04:00Z"),  # the first of its two midnights
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30Z"),  # for a minute, and again an hour later
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z"),  # never was: empty
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z"),
        ("Africa/Monrovia", "1972-01-07", "1972-01-07T00:44:30Z"),
    ],
)
def test_a_day_begins_at_its_first_instant(zone: str, day: str, begins: str) -> None:
    assert midnight(date.fromisoformat(day), ZoneInfo(zone)) == at(begins)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), name=NAMES, fiscal=st.integers(1, 12), week=st.integers(0, 6))
def test_an_instant_is_in_a_window_where_its_day_is(data: st.DataObject, name: str, fiscal: int, week: int) -> None:
    zone_name, odd = data.draw(
        st.one_of(
            st.sampled_from(PECULIAR),
            st.tuples(st.sampled_from(ZONES), st.dates(date(1975, 1, 1), date(2037, 1, 1))),
        )
    )
    zone = ZoneInfo(zone_name)
    as_of = data.draw(st.sampled_from(instants_around(odd + timedelta(days=data.draw(st.integers(-1, 1))), zone)))
    (window,) = resolve([name], as_of, zone, fiscal_start=fiscal, week_start=week)
    today = day_of(as_of, zone)
    second = timedelta(seconds=1)
    edges = [edge + step for edge in (window.starts_at, window.ends_at) for step in (-second, 0 * second, second)]
    for instant in (*edges, *instants_around(odd, zone), as_of):
        day = day_of(instant, zone)
        told = holds(name, day, today, fiscal_start=fiscal, week_start=week)
        assert (window.starts_at <= instant < window.ends_at) == told, (zone_name, name, as_of, instant)
        assert (window.first <= day < window.last) == told


@settings(max_examples=60, deadline=None)
@given(zone=st.sampled_from(ZONES), day=st.dates(date(1900, 1, 1), date(2100, 1, 1)))
@example(zone="America/Sao_Paulo", day=date(2018, 11, 4))
@example(zone="Pacific/Apia", day=date(2011, 12, 30))
@example(zone="Africa/Monrovia", day=date(1972, 1, 7))
def test_days_follow_on_each_other(zone: str, day: date) -> None:
    local = ZoneInfo(zone)
    begins, ends = midnight(day, local), midnight(day + timedelta(days=1), local)
    assert begins <= ends
    # Its first instant is of no earlier day, and the one before is: to the second.
    assert begins.astimezone(local).date() >= day
    assert (begins - timedelta(seconds=1)).astimezone(local).date() < day


def test_today_is_the_day_that_has_begun() -> None:
    """In St. John's it was 00:00 to 00:01 of the 7th, then 23:01 of the 6th for another 59 minutes."""
    for text in ("2010-11-07T02:30Z", "2010-11-07T02:31Z", "2010-11-07T03:29Z"):
        (window,) = resolve(["today"], at(text), ZoneInfo("America/St_Johns"))
        assert (str(window.first), window.starts_at) == ("2010-11-07", at("2010-11-07T02:30Z"))


def test_the_windows_of_one_instant() -> None:
    """A Wednesday, 00:30 in Seoul and still Tuesday in UTC; a fiscal year from April."""
    as_of = at("2026-05-19T15:30Z")
    wanted = {
        "today": ("2026-05-20", "2026-05-21"),
        "yesterday": ("2026-05-19", "2026-05-20"),
        "this_week": ("2026-05-18", "2026-05-25"),
        "last_week": ("2026-05-11", "2026-05-18"),
        "this_month": ("2026-05-01", "2026-06-01"),
        "last_month": ("2026-04-01", "2026-05-01"),
        "this_quarter": ("2026-04-01", "2026-07-01"),
        "last_quarter": ("2026-01-01", "2026-04-01"),
        "this_year": ("2026-01-01", "2027-01-01"),
        "last_year": ("2025-01-01", "2026-01-01"),
        "this_fiscal_year": ("2026-04-01", "2027-04-01"),
        "last_fiscal_year": ("2025-04-01", "2026-04-01"),
        "last_1_days": ("2026-05-20", "2026-05-21"),
        "last_30_days": ("2026-04-21", "2026-05-21"),
        "last_2_weeks": ("2026-05-11", "2026-05-25"),
        "last_6_months": ("2025-12-01", "2026-06-01"),
        "last_2_quarters": ("2026-01-01", "2026-07-01"),
        "last_3_years": ("2024-01-01", "2027-01-01"),
        "2026-01-01..2026-02-01": ("2026-01-01", "2026-02-01"),
    }
    assert set(NAMED) < set(wanted)
    windows = resolve(list(wanted), as_of, SEOUL, fiscal_start=4)
    assert {w.name: (str(w.first), str(w.last)) for w in windows} == wanted
    assert [w.name for w in windows] == list(wanted)
    for window in windows:
        assert window.starts_at == datetime(*window.first.timetuple()[:3], tzinfo=SEOUL)
        assert window.ends_at == datetime(*window.last.timetuple()[:3], tzinfo=SEOUL)
        assert window.starts_at.tzinfo is window.ends_at.tzinfo is UTC
    before_april = resolve(["this_fiscal_year", "last_fiscal_year"], at("2026-03-31T14:59Z"), SEOUL, fiscal_start=4)
    assert [str(w.first) for w in before_april] == ["2025-04-01", "2024-04-01"]
    sundays = resolve(["this_week", "last_week"], at("2026-05-17T00:00Z"), SEOUL, week_start=6)
    assert [str(w.first) for w in sundays] == ["2026-05-17", "2026-05-10"]


THERE_IS = (
    "there is: today, yesterday, this_week, last_week, this_month, last_month, this_quarter, last_quarter, this_year, "
    "last_year, this_fiscal_year, last_fiscal_year, last_N_days (_weeks, _months, _quarters, _years) such as "
    "last_30_days, and two dates, the second excluded, such as 2026-01-01..2026-02-01."
)


@pytest.mark.parametrize("name", ["tomorrow", "", "last_0_days", "last_-1_days", "last_x_days", "this_day", "Today"])
def test_an_unknown_window_is_told_what_there_is(name: str) -> None:
    with pytest.raises(BadWindow) as refused:
        resolve([name], at("2026-05-19T15:30Z"), SEOUL)
    assert str(refused.value) == f"There is no window {name!r}; {THERE_IS}"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["today", "this_week", "today"], "The window 'today' is named twice; name it once."),
        (
            ["2026-02-01..2026-02-01"],
            "The window '2026-02-01..2026-02-01' is empty: the second day is excluded, so it is later than the first.",
        ),
        (
            ["2026-02-30..2026-03-01"],
            "The window '2026-02-30..2026-03-01' names a day that no calendar has: day is out of range for month.",
        ),
        (["last_999999_days"], "The window 'last_999999_days' lies beyond the years 1 to 9999; name a nearer one."),
        (["last_99999_years"], "The window 'last_99999_years' lies beyond the years 1 to 9999; name a nearer one."),
        (
            ["0001-01-01..0001-01-02"],
            "The window '0001-01-01..0001-01-02' lies beyond the years 1 to 9999; name a nearer one.",
        ),
    ],
)
def test_a_window_that_is_none(names: list[str], said: str) -> None:
    with pytest.raises(BadWindow) as refused:
        resolve(names, at("2026-05-19T15:30Z"), SEOUL)
    assert str(refused.value) == said


def test_an_instant_at_an_end_of_time() -> None:
    with pytest.raises(
        BadWindow, match=r"9999-12-31T23:59:00\+00:00 lies at an end of time in Asia/Seoul; name a near"
    ):
        resolve(["today"], datetime(9999, 12, 31, 23, 59, tzinfo=UTC), SEOUL)
    with pytest.raises(ValueError, match="has no zone"):
        resolve(["today"], datetime(2026, 1, 1), SEOUL)
