"""One run for each slot of a schedule: what is due is computed from when it was due, however often one is asked.

Who starts a slot moves the schedule's frontier in the transaction that opens the run, and only from where it was read;
so of two workers, two beats or a message that comes twice, one run comes. `ops_run_one_for_slot` is the last line.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from ops.clock import rows, schedules
from ops.clock.policy import Decision, Frontier, Stretch, next_instants
from ops.engine import control, owner, registry
from ops.engine import run as engine
from ops.engine.jobs import BrokenJob
from ops.engine.lifecycle import Busy, Declined, Failed, Options, SlotTaken, Stopped, Unusable, server_now, trouble
from ops.engine.parameters import BadParameters
from ops.engine.plan import Refused
from ops.engine.session import DatabaseTrouble, Session
from ops.engine.sweeping import Swept, is_given_up, nudge
from ops.models import Run
from ops.models import Schedule as Kept

Clock = Callable[[], datetime]

SEEN_AGAIN = timedelta(seconds=5)
"""A look is written down when the last one is longer ago than this."""

LOST_RACES = 20
"""So often in a row another process may be faster; more is no race."""


class _Moved(Exception):
    """Another process moved the frontier since it was read."""


@dataclass(frozen=True)
class Overdue:
    """A slot that nobody has started yet; `queue` is where its message goes, `sent_at` when a sweep sent the last.

    `since` is the first slot that waits: what "once" runs is the last.
    """

    schedule: str
    slot: datetime
    since: datetime
    late_seconds: float
    queue: str
    sent_at: datetime | None = None


@dataclass(frozen=True)
class Seen:
    """A schedule as it is found: its frontier as stored, as it is once the row of beat has been seen, and that row."""

    stored: Frontier
    frontier: Frontier
    row: Any
    now: datetime


def start(name: str, options: Options, now: Clock | None = None) -> list[Swept]:
    """Start each due slot of a schedule, as its policy says, in a run of its own; return what came of the runs.

    An unfinished run of the job that nobody carries out is carried on first. Where somebody does, or the run is
    paused, the slot waits for the next nudge. What is left when `options.stop` is set is for the next one, too. Raises
    UnknownSchedule and DatabaseTrouble; what a run came to is told by its outcome.
    """
    declared = schedules.find(name)
    session = Session(declared.database)
    swept: list[Swept] = []
    tried: set[int] = set()
    races = 0
    while not options.stop.is_set() and races < LOST_RACES:
        with trouble(f"Looking for slots of {name}"):
            seen = _see(session, name, now)
            decision = seen.frontier.decide(declared.policy, seen.now)
            if decision.slot is None:
                _note(session, name, seen, decision)
                return swept
        try:
            swept.append(_start_one(session, declared, seen, decision, options))
        except (_Moved, SlotTaken) as exc:
            races += 1
            if isinstance(exc, SlotTaken):
                _settle_taken(session, name, seen, decision)
            continue
        except Busy as exc:
            if (exc.held.schedule, exc.held.slot) == (name, decision.slot):
                races += 1  # a faster worker's, for this very slot
                continue
            if exc.held.pk in tried:
                return swept
            tried.add(exc.held.pk)
            swept.append(_carry_first(session, exc.held, declared, seen, options))
            if swept[-1].outcome in WAITS:
                return swept
            continue
        if not decision.more and not next_slots(seen.row, decision.slot, 1)[:1] <= [_present(session, now)]:
            return swept
    return swept


def look(alias: str, now: datetime | None = None) -> list[Overdue]:
    """Look at all schedules of a database: notice edits, settle what is missed, return the slots that wait."""
    declared = {one.name: one for one in schedules.declared() if one.database == alias}
    if not declared:
        return []
    session = Session(alias)
    with trouble("Looking at the schedules"):
        # The clock before the rows: what is edited in between is seen too early, and never too late.
        instant = now or server_now(session)
        kept = {one.name: one for one in Kept.objects.using(alias).filter(name__in=list(declared))}
        stored = rows.named(declared)
        waiting: list[Overdue] = []
        unchanged: list[str] = []
        for name, one in declared.items():
            seen = _seen(session, name, stored.get(name), kept.get(name), instant)
            decision = seen.frontier.decide(one.policy, instant)
            # While one waits, those before it are settled by who starts it: else the one that waits were always fresh.
            late = seen.frontier.overdue(one.policy, instant)
            noted = decision if decision.slot is None else late
            if not _note(session, name, seen, noted) and instant - seen.stored.seen_at >= SEEN_AGAIN:
                unchanged.append(name)
            if decision.slot is not None:
                passed = decision.missed[len(late.missed) :]
                since = passed[0].first if passed else decision.slot
                sent_at = kept[name].sent_at if name in kept else None
                seconds = (instant - since).total_seconds()
                waiting.append(Overdue(name, decision.slot, since, seconds, _queue(one, seen.row), sent_at))
        if unchanged:
            session.execute("ops/mark_schedules_seen.sql", {"names": unchanged, "seen_at": instant})
    return waiting


def next_slots(what: Any, after: datetime, count: int) -> list[datetime]:
    """Return the next slots after an instant of a declaration, a row of beat or a rule; none while it is off."""
    if isinstance(what, schedules.Schedule):
        return next_instants(what.when if what.enabled else "", after, count)
    return next_instants(what if isinstance(what, str) else rows.rule_of(what), after, count)


def database_of(name: str) -> str:
    """Return the alias of the database that has a schedule's runs; raise UnknownSchedule."""
    return schedules.find(name).database


def begin(session: Session, name: str, rule: str, now: datetime) -> None:
    """Begin to count a schedule's slots; whoever has begun before stays."""
    session.execute("ops/merge_schedule.sql", {"name": name, "rule": rule, "now": now})


def _present(session: Session, now: Clock | None) -> datetime:
    return now() if now else server_now(session)


def _queue(declared: schedules.Schedule, row: Any) -> str:
    return str(row.queue or declared.where) if row is not None else declared.where


def _see(session: Session, name: str, now: Clock | None) -> Seen:
    instant, settled_at, seen_at, rule = session.execute("ops/find_schedule.sql", {"name": name})[0]
    kept = None if settled_at is None else Kept(name=name, settled_at=settled_at, seen_at=seen_at, rule=rule)
    return _seen(session, name, rows.named([name]).get(name), kept, now() if now else instant)


def _seen(session: Session, name: str, row: Any, kept: Kept | None, now: datetime) -> Seen:
    rule = rows.rule_of(row)
    if kept is None:
        begin(session, name, rule, now)
        fresh = Frontier(now, now, ((now, rule),))
        return Seen(fresh, fresh, row, now)
    stored = Frontier.read(kept.settled_at, kept.seen_at, kept.rule)
    changed_at = None
    if rule != stored.rule:
        changed_at = row.date_changed if row is not None else None
        if changed_at is None or changed_at <= stored.seen_at:
            # The row itself is as it was: its crontab was edited, or it was deleted.
            changed_at = rows.last_change()
    return Seen(stored, stored.observed(rule, changed_at, now), row, now)


def _note(session: Session, name: str, seen: Seen, decision: Decision) -> bool:
    """Write what a look has found, if it is anything: an edit, slots that are missed; return whether it was."""
    settled = decision.missed[-1].last if decision.missed else seen.frontier.settled_at
    after = seen.frontier.settled(settled)
    if (after.settled_at, after.text) == (seen.stored.settled_at, seen.stored.text):
        return False
    with transaction.atomic(using=session.alias):
        _write(session, name, seen, after, decision.missed)
    return True


def _settle_taken(session: Session, name: str, seen: Seen, decision: Decision) -> None:
    """Settle a slot that has its run, though the frontier says otherwise: somebody has set that back."""
    assert decision.slot is not None  # it is what was taken
    with trouble(f"Settling a slot of {name}"), transaction.atomic(using=session.alias):
        _write(session, name, seen, seen.frontier.settled(decision.slot), decision.missed)


def _write(session: Session, name: str, seen: Seen, after: Frontier, missed: Iterable[Stretch]) -> bool:
    """Move the frontier and record what is missed, in the present transaction; do nothing where it has moved."""
    values = {
        "name": name,
        "settled_at": after.settled_at,
        "seen_at": after.seen_at,
        "rule": after.text,
        "was_settled_at": seen.stored.settled_at,
        "was_rule": seen.stored.text,
    }
    if not session.execute("ops/settle_schedule.sql", values):
        return False
    frontier = seen.stored.settled_at
    for one in missed:
        session.execute("ops/merge_missed_slots.sql", {"schedule": name, "frontier": frontier, **vars(one)})
        frontier = one.last
    return True


def _start_one(
    session: Session, declared: schedules.Schedule, seen: Seen, decision: Decision, options: Options
) -> Swept:
    """Open the run of a slot and carry it to its end; raise Busy, SlotTaken or _Moved where none was opened."""
    slot = decision.slot
    assert slot is not None  # or there is nothing to start
    opened: list[Run] = []

    def claim(run: Run) -> None:
        options.opened(run)
        if not _write(session, declared.name, seen, seen.frontier.settled(slot), decision.missed):
            raise _Moved
        opened.append(run)

    own = replace(
        options,
        database=declared.database,
        guards=declared.guards,
        workers=declared.workers,
        verify=declared.verify,
        schedule=declared.name,
        slot=slot,
        queue=_queue(declared, seen.row),
        opened=claim,
        fresh=True,
        agreed=True,
        confirm=None,
    )
    try:
        run, _ = engine.apply(registry.find(declared.job), declared.cleaned(), own)
    except (Busy, SlotTaken):
        raise
    except Exception as exc:
        if not opened:
            return _not_opened(session, declared, seen, slot, exc)
        return _came_to(opened[-1], exc, options)
    return Swept(run.pk, run.job, "done")


def _not_opened(session: Session, declared: schedules.Schedule, seen: Seen, slot: datetime, exc: Exception) -> Swept:
    """Record a slot as missed whose run can't be opened, as its parameters are wrong; of what may pass, it waits."""
    if isinstance(exc, BadParameters | BrokenJob | Unusable):
        with trouble(f"Settling a slot of {declared.name}"), transaction.atomic(using=session.alias):
            _write(session, declared.name, seen, seen.frontier.settled(slot), [Stretch(slot, slot, 1, str(exc))])
        return Swept(0, declared.job, "failed", str(exc), exc)
    if isinstance(exc, Refused):
        return Swept(0, declared.job, "refused", str(exc), exc)
    raise exc


OUTCOMES: tuple[tuple[type[Exception], str], ...] = (
    (Refused, "refused"),
    (Declined, "cancelled"),
    (Stopped, "stopped"),
    (Failed, "failed"),
    (Unusable, "failed"),
    (BadParameters, "failed"),
    (DatabaseTrouble, "failed"),
    (owner.Taken, "taken"),
)


def _came_to(run: Run, exc: Exception, options: Options) -> Swept:
    """Say what a run came to that was opened and did not end well; raise what is none of the engine's own."""
    outcome = next((word for kind, word in OUTCOMES if isinstance(exc, kind)), None)
    if outcome is None:
        raise exc
    if outcome == "stopped" and options.stop.is_set() and options.rests_as == Run.State.QUEUED:
        outcome = "queued"
    return Swept(run.pk, run.job, outcome, str(exc), exc)


WAITS = ("held", "joined", "taken", "paused", "queued")
"""Outcomes of a run that is in a slot's way which leave it there."""


def _carry_first(session: Session, held: Run, declared: schedules.Schedule, seen: Seen, options: Options) -> Swept:
    """Carry on the unfinished run that is in a slot's way, where nobody else does or is to."""
    waits = f"schedule {declared.name} waits for it"
    if held.state == Run.State.PAUSED:
        return Swept(held.pk, held.job, "paused", waits)
    if held.state == Run.State.QUEUED and held.queue not in ("", _queue(declared, seen.row), options.queue):
        return Swept(held.pk, held.job, "queued", f"a worker of {held.queue} is to take it; {waits}")
    if held.state == Run.State.STOPPED:
        if is_given_up(session, held, options):
            return Swept(held.pk, held.job, "held", f"{held.message} Until then {waits}.")
        try:
            control.settle(session, held, Run.State.QUEUED, f"Carried on: {waits}.")
        except (owner.Taken, Refused) as exc:
            return Swept(held.pk, held.job, "taken", str(exc), exc)
    return nudge(session.alias, held, replace(options, database=session.alias))
