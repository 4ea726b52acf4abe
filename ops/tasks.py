"""The Celery tasks: a message nudges a run by its id, or a schedule by its name, and carries nothing else.

What is to be done is in the database, so a message may be lost, late or doubled. A task works for SETWISE_TASK_SECONDS
at most: then its run stops after the batch and goes on in the next message, and so it does when the worker is told to
leave. Who finds a run held by somebody lends a hand, or leaves.
"""

import logging
import mmap
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task, current_app, shared_task, signals
from celery.exceptions import QueueNotFound, SoftTimeLimitExceeded
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from kombu.exceptions import OperationalError

from ops import clock, logs
from ops.engine.options import Options
from ops.engine.sweeping import Swept, Undelivered, nudge
from ops.models import Run

logger = logging.getLogger("ops.tasks")

TASK_SECONDS = 240
"""How long a task works on a run, where the setting SETWISE_TASK_SECONDS does not say it."""

GOES_ON = ("queued", "joined")
"""Outcomes after which there may be more to do."""

RESULT_SECONDS = 2.0
"""How long the result of a task takes to be stored, at most, once it has ended."""

FAILURES = ("failed", "refused", "stopped", "unverified")

# One byte that a worker shares with the children that it forks: a signal reaches the parent alone.
_leaving = mmap.mmap(-1, 1)
_terminated = threading.Event()
"""Set where this process alone was told to end."""


class Unfinished(Exception):
    """A run did not come to its end; the message is the run's own. The task that carried it has failed with it."""


@signals.worker_shutting_down.connect
def leave(**kwargs: Any) -> None:
    """Let the tasks of this worker stop after their batch."""
    _leaving[0] = 1


@signals.worker_init.connect
def stay(**kwargs: Any) -> None:
    """Forget an earlier worker of this process."""
    _leaving[0] = 0


def undelivered(exc: Exception) -> Undelivered:
    """Return what is said where the broker took no message."""
    return Undelivered(
        f"The broker takes no message ({exc}): what is queued stays so, and the sweeper sends it once the broker is "
        "back; 'manage.py doctor' looks into it."
    )


def publish(task: Any, kwargs: dict[str, Any], queue: str, *, retry: bool = True) -> str:
    """Send a message and return its id; raise Undelivered where the broker can't be reached."""
    try:
        return str(task.apply_async(kwargs=kwargs, queue=queue, retry=retry).id)
    except QueueNotFound as exc:
        raise Undelivered(
            f"There is no queue {queue!r}, so nothing can be sent to it: 'manage.py runs resume ID --enqueue --queue "
            "NAME' names another for a run, beat's admin (or 'manage.py sync_schedules --reset NAME') for a schedule."
        ) from exc
    except (OperationalError, OSError) as exc:
        raise undelivered(exc) from exc


def send(run: Run, *, retry: bool = True) -> None:
    """Send the message that nudges a run; raise Undelivered."""
    kwargs: dict[str, Any] = {"run": run.pk}
    if run.alias != DEFAULT_DB_ALIAS:
        kwargs["database"] = run.alias
    publish(advance, kwargs, run.queue, retry=retry)
    Run.objects.using(run.alias).filter(pk=run.pk).update(sent_at=clock.now())


def send_slot(schedule: str, queue: str, *, retry: bool = True) -> None:
    """Send the message that nudges a schedule, as beat does; raise Undelivered."""
    publish(start_slot, {"schedule": schedule}, queue, retry=retry)


def _hire(run: Run, hands: int) -> None:
    """Ask for hands of other workers; without a broker the run goes on with those it has."""
    for _ in range(hands):
        try:
            send(run, retry=False)
        except Undelivered:
            return


@contextmanager
def _time(task: "Task[Any, Any]", database: str, queue: str) -> Iterator[Options]:
    """Give a task its time: `stop` is set when that is over, or the worker is told to leave."""
    seconds = getattr(settings, "SETWISE_TASK_SECONDS", TASK_SECONDS)
    options = Options(
        database=database,
        started_from=f"Celery {task.name}",
        queue=queue,
        task_id=str(task.request.id or ""),
        rests_as=Run.State.QUEUED,
        interrupts=(SoftTimeLimitExceeded,),
        hire=_hire,
    )
    ended = threading.Event()
    until = clock.monotonic() + seconds

    def watch() -> None:
        while not ended.wait(0.2):
            if _leaving[0] or _terminated.is_set() or clock.monotonic() > until:
                options.stop.set()
                return

    watcher = threading.Thread(target=watch, daemon=True, name="time of a task")
    watcher.start()
    try:
        with _terminated_later():
            yield options
    finally:
        ended.set()


@contextmanager
def _terminated_later() -> Iterator[None]:
    """Take a SIGTERM to this process, as honcho and systemd send it to a worker's children, for a word to leave.

    Celery would raise SystemExit in the middle of a batch. It is sent again once the task's result is stored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hear(signum: int, frame: Any) -> None:
        _terminated.set()

    before = signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if _terminated.is_set():
            later = threading.Timer(RESULT_SECONDS, os.kill, (os.getpid(), signal.SIGTERM))
            later.daemon = True
            later.start()


def _queue_of(task: "Task[Any, Any]") -> str:
    """Return the queue that a task's message came from."""
    found = (task.request.delivery_info or {}).get("routing_key")
    return str(found or current_app.conf.task_default_queue)


def _told(swept: list[Swept]) -> dict[str, Any]:
    """Return what a task's result keeps; raise the first failure, so that the task has failed with it."""
    for one in swept:
        if one.outcome in FAILURES:
            raise Unfinished(one.message or f"Run {one.run} of {one.job}: {one.outcome}.") from one.exc
    if len(swept) == 1:
        return swept[0].as_json()
    return {"runs": [one.as_json() for one in swept]}


@shared_task(name="ops.advance", bind=True, max_retries=3)
def advance(task: "Task[Any, Any]", run: int, database: str = DEFAULT_DB_ALIAS) -> dict[str, Any]:
    """Carry a run on, for a task's time at most; the next message goes on."""
    found = Run.objects.using(database).filter(pk=run).first()
    if found is None:
        return {"run": run, "outcome": "gone"}
    queue = found.queue or _queue_of(task)
    with _time(task, database, queue) as options, logs.about(run=run, task=options.task_id):
        swept = nudge(database, found, options)
        if swept.outcome in GOES_ON and options.stop.is_set():
            _go_on(found)
    return _told([swept])


def _go_on(run: Run) -> None:
    try:
        send(run)
    except Undelivered as exc:
        # The sweeper sends it.
        logger.warning("Run %s: %s", run.pk, exc)


@shared_task(name="ops.start_slot", bind=True, max_retries=3)
def start_slot(task: "Task[Any, Any]", schedule: str) -> dict[str, Any]:
    """Start what a schedule is due; which slots those are is computed from the schedule, not from the message."""
    from ops.clock import slots

    queue = _queue_of(task)
    with _time(task, DEFAULT_DB_ALIAS, queue) as options, logs.about(schedule=schedule, task=options.task_id):
        swept = slots.start(schedule, options)
        for one in swept:
            if one.outcome == "queued" and options.stop.is_set():
                database = slots.database_of(schedule)
                _go_on(Run.objects.using(database).get(pk=one.run))
    return _told(swept)


@shared_task(name="ops.debug_task", bind=True, ignore_result=True)
def debug_task(task: "Task[Any, Any]") -> str:
    """Print its own request: to see that messages arrive, `celery -A config call ops.debug_task`."""
    logger.warning("Request: %r", task.request)
    return str(task.request.id)
