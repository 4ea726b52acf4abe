"""Messages that were lost are sent again: to runs that are queued, and to schedules whose slots are overdue.

A broker can lose all that it has (FLUSHALL, a restart without persistence), and a process can be killed between its
commit and its message. So whoever sweeps counts: where a queue holds fewer messages than there are runs and slots that
wait for one, the missing ones are sent. A long queue is not made longer by that, however long it takes.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops import clock, tasks
from ops.clock import slots
from ops.engine.sweeping import Undelivered
from ops.models import Run, Schedule
from ops.web import broker

PATIENCE = timedelta(seconds=8)
"""A message is not missed before that: a worker may just be taking it. Below the sweeper's ten seconds."""


@dataclass(frozen=True)
class Waiting:
    """What waits for a message: a run, or a schedule."""

    queue: str
    since: datetime
    what: Run | str


def redeliver(alias: str) -> list[str]:
    """Send what is missing, oldest first; return in words what was sent. Raises Undelivered without a broker."""
    queues: dict[str, list[Waiting]] = defaultdict(list)
    for run in Run.objects.using(alias).filter(state=Run.State.QUEUED).exclude(queue="").order_by("pk"):
        queues[run.queue].append(Waiting(run.queue, run.sent_at or run.created_at, run))
    for overdue in slots.look(alias):
        since = max(overdue.since, overdue.sent_at or overdue.since)
        queues[overdue.queue].append(Waiting(overdue.queue, since, overdue.schedule))
    before = clock.now() - PATIENCE
    late = {queue: [one for one in waiting if one.since < before] for queue, waiting in queues.items()}
    if not any(late.values()):
        return []
    try:
        found = broker.look(frozenset(queues))
    except broker.Unreachable as exc:
        raise tasks.undelivered(exc) from exc
    there = found.queues if found else {}
    sent = []
    for queue, waiting in queues.items():
        sent += _send(alias, queue, late[queue], missing=len(waiting) - there.get(queue, 0))
    return sent


def _send(alias: str, queue: str, late: list[Waiting], *, missing: int) -> list[str]:
    sent = []
    for one in sorted(late, key=lambda one: one.since)[: max(missing, 0)]:
        try:
            sent.append(_send_one(alias, one, queue))
        except Undelivered as exc:
            sent.append(str(exc))  # a queue that is not there; the others are
    return sent


def _send_one(alias: str, one: Waiting, queue: str) -> str:
    if isinstance(one.what, Run):
        tasks.send(one.what, retry=False)
        return f"Run {one.what.pk} of {one.what.job}: sent again to {queue}, for its message was lost."
    tasks.send_slot(one.what, queue, retry=False)
    Schedule.objects.using(alias).filter(pk=one.what).update(sent_at=clock.now())
    return f"Schedule {one.what}: sent to {queue}, for its slot is overdue."
