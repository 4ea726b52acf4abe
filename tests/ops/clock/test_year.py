"""A year of beat by a clock that is moved: downtime, edits, kills, two beats; each slot one run, by its policy.

From December 2027, so that 29 February is among its days. What ought to run is computed by a reference that knows
nothing of frontiers: local dates in a zone, one after the other, and for how long nothing was up.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django_celery_beat.models import PeriodicTask

from ops.clock import slots
from ops.clock.schedules import Schedule
from ops.engine import run as engine
from ops.models import MissedSlots, Run
from tests.ops.clock.beats import Beat, stock_clock
from tests.ops.clock.fakes import NEW_YORK, SEOUL, FakeClock, at, begun, crontab, declared, nightly, start

pytestmark = pytest.mark.django_db

BEGIN, END = at("2027-12-01T00:00:00Z"), at("2028-12-01T00:00:00Z")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

SCHEDULES = (
    nightly(name="seoul", cron="0 1 * * *", zone=SEOUL, deadline=6 * HOUR),
    nightly(name="gap", cron="30 2 * * *", zone=NEW_YORK, missed="skip"),
    nightly(name="twice", cron="30 1 * * 0,6", zone=NEW_YORK, missed="each"),
    nightly(name="ends", cron="0 0 28-31 * *", zone=SEOUL, missed="each", deadline=2 * DAY),
    nightly(name="leap", cron="0 12 29 2 *", zone="UTC"),
    nightly(name="weekly", every=7 * DAY),
)
EDITED = {"0 1 * * *": "0 10 * * *", "0 10 * * *": "0 1 * * *"}


def naive(cron: str, zone: str, after: datetime, upto: datetime) -> Iterator[datetime]:
    """Yield the slots of a crontab with single minutes and hours, by looking at each date of its zone."""
    minute, hour, days, months, weekdays = cron.split()
    here = ZoneInfo(zone)
    day = after.astimezone(here).date() - DAY
    while day <= upto.astimezone(here).date() + DAY:
        day += DAY
        dates = (
            (days, day.day),
            (months, day.month),
            (weekdays, day.isoweekday() % 7),
        )
        if not all(fits(text, value) for text, value in dates):
            continue
        local = datetime(day.year, day.month, day.day, int(hour), int(minute))
        while local.replace(tzinfo=here).astimezone(UTC).astimezone(here).replace(tzinfo=None) != local:
            local += MINUTE  # clocks skip it: as soon as they have
        instant = local.replace(tzinfo=here, fold=0).astimezone(UTC)
        if after < instant <= upto:
            yield instant


def fits(text: str, value: int) -> bool:
    if "-" in text:
        low, high = text.split("-")
        return int(low) <= value <= int(high)
    return text == "*" or str(value) in text.split(",")


@dataclass
class Year:
    """What happens in a year: when nothing is up, what is edited when, when beat is killed or is two."""

    downs: list[tuple[datetime, datetime]] = field(default_factory=list)
    edits: list[tuple[datetime, str]] = field(default_factory=list)
    kills: list[datetime] = field(default_factory=list)
    twos: list[datetime] = field(default_factory=list)

    @classmethod
    def random(cls, seed: int) -> "Year":
        chance = random.Random(seed)
        made = cls()

        def instant() -> datetime:
            return BEGIN + chance.randrange(1, 365 * 1440) * MINUTE + 17 * timedelta(seconds=1)

        begins = sorted(instant() for _ in range(14))
        for begin, limit in zip(begins, [*begins[1:], END], strict=True):
            length = chance.choice((3 * MINUTE, HOUR, 5 * HOUR, 22 * HOUR, 3 * DAY, 10 * DAY))
            made.downs.append((begin, min(begin + length, limit - MINUTE)))
        rule = "0 1 * * *"
        for at_ in sorted(instant() for _ in range(7)):
            rule = chance.choice((EDITED[rule], ""))
            made.edits.append((at_, rule))
            if not rule:
                rule = "0 1 * * *"
                made.edits.append((at_ + 2 * DAY, rule))
        made.edits.sort()
        made.kills = sorted(instant() for _ in range(12))
        made.twos = sorted(instant() for _ in range(4))
        return made

    def up_at(self, instant: datetime) -> datetime:
        """Return when somebody is there to start a slot that is due at an instant."""
        return next((end for begin, end in self.downs if begin < instant <= end), instant)

    def noticed(self) -> list[tuple[datetime, str]]:
        """Return the edits without those that were edited again before anybody was there to see them."""
        seen: list[tuple[datetime, str]] = []
        rule = SCHEDULES[0].cron
        for number, (at_, cron) in enumerate(self.edits):
            again = self.edits[number + 1][0] if number + 1 < len(self.edits) else END
            if self.up_at(at_) < again and cron != rule:
                seen.append((at_, cron))
                rule = cron
        return seen

    def slots(self, schedule: Schedule) -> list[datetime]:
        """Return all slots of a schedule."""
        if schedule.every:
            first = (BEGIN.timestamp() // schedule.every.total_seconds() + 1) * schedule.every.total_seconds()
            number = int((END.timestamp() - first) // schedule.every.total_seconds())
            return [datetime.fromtimestamp(first, UTC) + n * schedule.every for n in range(number + 1)]
        edits = [(BEGIN, schedule.cron), *(self.noticed() if schedule.name == "seoul" else [])]
        found: list[datetime] = []
        for number, (since, cron) in enumerate(edits):
            until = edits[number + 1][0] if number + 1 < len(edits) else END
            found += naive(cron, schedule.zone, since, until) if cron else []
        return found

    def runs(self, schedule: Schedule) -> list[datetime]:
        """Return those of its slots that ought to run."""
        due = self.slots(schedule)
        latest = schedule.deadline or (5 * MINUTE if schedule.missed == "skip" else 10**4 * DAY)
        found = [slot for slot in due if self.up_at(slot) - slot <= latest and self.up_at(slot) <= END]
        if schedule.missed != "once":
            return found
        starts = {self.up_at(slot): slot for slot in due}  # the last one of each start
        return [slot for slot in found if starts[self.up_at(slot)] == slot]


def opened_only(job: Any, params: Any, options: Any) -> tuple[Run, None]:
    """Open a run as the engine does, and be done: what carrying it out takes is not what a year is about."""
    with transaction.atomic():
        run = Run.objects.create(
            job=job.name,
            verb="apply",
            state="done",
            scope="*",
            target="shelf.Counter",
            as_of=options.slot,
            sql_digest="",
            schedule=options.schedule,
            slot=options.slot,
            started_by="",
        )
        options.opened(run)
    return run, None


def edit(cron: str, now: datetime) -> None:
    """Edit the row of the edited schedule as the admin does."""
    row = PeriodicTask.objects.get(name="seoul")
    row.enabled = bool(cron)
    if cron:
        row.crontab = crontab(cron, SEOUL)
    row.save()
    assert row.date_changed == now


def live(year: Year, clock: FakeClock, chance: random.Random) -> None:
    """Let beat, worker and sweeper live through a year."""

    def worker(name: str) -> None:
        if name != "celery.backend_cleanup":
            start(name, clock.now)
            if chance.random() < 0.05:
                start(name, clock.now)  # the message comes twice

    def sweeper() -> None:
        for overdue in slots.look("default", clock.now):
            start(overdue.schedule, clock.now)

    def beats(count: int) -> list[Beat]:
        return [Beat(clock, every=1e7, heard=worker) for _ in range(count)]

    events: list[tuple[datetime, str, Any]] = [(begin, "down", end) for begin, end in year.downs]
    events += [(at_, "edit", cron) for at_, cron in year.edits]
    events += [(at_, "kill", None) for at_ in year.kills] + [(at_, "two", None) for at_ in year.twos]
    events += [(END, "end", None)]
    running = beats(1)
    down_until = BEGIN
    for instant, kind, value in sorted(events, key=lambda event: event[:2]):
        begin = max(clock.now, down_until)
        if begin < instant and begin == down_until > clock.now:
            clock.now = down_until
            sweeper()
            running = beats(1)
        if instant > down_until:
            through(running, clock, instant)
            sweeper()
        clock.now = instant
        if kind == "down":
            down_until = value
        elif kind == "edit":
            edit(value, instant)
        elif instant > down_until:
            running = beats(2 if kind == "two" else 1)


def through(running: list[Beat], clock: FakeClock, until: datetime) -> None:
    """Let beats live until an instant, side by side from one day to the next; each is killed after its last message."""
    begin = clock.now
    if len(running) == 1:
        running[0].upto(until)
        return
    day = begin
    while day < until:
        upto = min(day + DAY, until)
        for beat in running:
            clock.now = day
            beat.upto(upto)
        day = upto
        if (day - begin) > 20 * DAY:
            running.pop()
            through(running, clock, until)
            return


def prove(year: Year) -> None:
    for schedule in SCHEDULES:
        found = sorted(Run.objects.filter(schedule=schedule.name).values_list("slot", flat=True))
        wanted = year.runs(schedule)
        assert found == wanted, (schedule.name, sorted(set(found) ^ set(wanted)))
        missed = MissedSlots.objects.filter(schedule=schedule.name)
        assert sum(one.count for one in missed) == len(year.slots(schedule)) - len(wanted), schedule.name


def a_year(seed: int, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(engine, "apply", opened_only)
    year = Year.random(seed)
    with stock_clock(BEGIN) as clock, declared(*SCHEDULES):
        for schedule in SCHEDULES:
            begun(schedule, BEGIN)
        live(year, clock, random.Random(seed))
        prove(year)
    return Run.objects.count()


def test_a_year_of_two_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert a_year(1, monkeypatch) > 600


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 22))
def test_twenty_years_of_two_zones(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert a_year(seed, monkeypatch) > 500
