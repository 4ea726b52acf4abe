"""Buckets begin and end where windows do: the server's functions against Python's."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.reports.windows import midnight
from tests.ops.reports.reference import PECULIAR, day_of, instants_around
from tests.ops.reports.rolled import ask

pytestmark = pytest.mark.django_db

MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(("name", "odd"), PECULIAR)
def test_a_day_begins_with_its_first_instant(name: str, odd: date) -> None:
    days = [odd + timedelta(days=n) for n in range(-40, 41)]
    found = ask("SELECT d.day, ops_rollup_day(d.day, %s) FROM unnest(%s::date[]) AS d (day)", name, days)
    assert dict(found) == {day: midnight(day, ZoneInfo(name)) for day in days}


@pytest.mark.parametrize(("name", "odd"), PECULIAR)
def test_a_bucket_is_a_window_of_a_day(name: str, odd: date) -> None:
    zone = ZoneInfo(name)
    edges = sorted({midnight(odd + timedelta(days=n), zone) for n in range(-3, 4)})
    instants = sorted({*instants_around(odd, zone), *edges, *(edge - MOMENT for edge in edges)})
    found = ask(
        "SELECT i.at, ops_rollup_bucket(i.at, 'day', %s), "
        "ops_rollup_ends(ops_rollup_bucket(i.at, 'day', %s), 'day', %s) "
        "FROM unnest(%s::timestamptz[]) AS i (at)",
        name,
        name,
        name,
        instants,
    )
    within = [row for row in found if edges[0] <= row[0] < edges[-1]]
    assert len(within) > len(edges)
    for at, bucket, ends in within:
        before = max(edge for edge in edges if edge <= at)
        assert (at, bucket, ends) == (at, before, min(edge for edge in edges if edge > at))
        # And so the naive day of the reference: counted minute by minute.
        assert day_of(at, zone) == day_of(bucket, zone)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.datetimes(datetime(1972, 1, 1), datetime(2025, 1, 1), timezones=st.just(UTC)),
    name=st.sampled_from(sorted({name for name, _ in PECULIAR})),
)
def test_buckets_of_days_leave_no_hole(at: datetime, name: str) -> None:
    ((bucket, ends, again, before, after),) = _around(at, "day", name)
    assert bucket <= at < ends
    assert (again, after) == (bucket, ends)
    assert before < bucket
    assert timedelta(0) < ends - bucket < timedelta(hours=50)


@pytest.mark.parametrize(("grain", "hours"), [("hour", 1), ("date", 24)])
def test_hours_and_dates_lie_in_utc(grain: str, hours: int) -> None:
    at = datetime(2026, 5, 19, 15, 30, tzinfo=UTC)
    ((bucket, ends, again, before, after),) = _around(at, grain, "UTC")
    start = at.replace(minute=0) if grain == "hour" else at.replace(hour=0, minute=0)
    assert (bucket, ends, again, after) == (
        start,
        start + timedelta(hours=hours),
        start,
        start + timedelta(hours=hours),
    )
    assert before == start - timedelta(hours=hours)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_the_session_s_zone_changes_nothing(zone: str) -> None:
    # As seconds, for Django takes every instant for one of the zone that it has set itself.
    seconds = (
        "SELECT extract(EPOCH FROM ops_rollup_bucket(i.at, g.grain, g.zone))::bigint, "
        "extract(EPOCH FROM ops_rollup_ends(ops_rollup_bucket(i.at, g.grain, g.zone), g.grain, g.zone))::bigint "
        "FROM (VALUES (timestamptz '2026-03-08 06:30:00+00'), ('2026-11-01 05:30:00+00')) AS i (at) "
        "CROSS JOIN (VALUES ('day', 'America/New_York'), ('hour', 'UTC'), ('date', 'UTC')) AS g (grain, zone) "
        "ORDER BY i.at, g.grain"
    )
    here = ask(seconds)
    ask("SELECT set_config('timezone', %s, true)", zone)
    assert ask(seconds) == here
    # 23 hours in spring, 25 in autumn.
    assert [ends - begins for begins, ends in here] == [86_400, 82_800, 3_600, 86_400, 90_000, 3_600]


def _around(at: datetime, grain: str, zone: str) -> list[tuple[Any, ...]]:
    """Return an instant's bucket, its end, the buckets of its first and of the instant before, and of its end."""
    return ask(
        "SELECT b.bucket, b.ends, ops_rollup_bucket(b.bucket, %s, %s), ops_rollup_bucket(b.bucket - %s, %s, %s), "
        "ops_rollup_bucket(b.ends, %s, %s) FROM (SELECT ops_rollup_bucket(%s, %s, %s) AS bucket, "
        "ops_rollup_ends(ops_rollup_bucket(%s, %s, %s), %s, %s) AS ends) AS b",
        *(grain, zone, MOMENT, grain, zone, grain, zone, at, grain, zone, at, grain, zone, grain, zone),
    )
