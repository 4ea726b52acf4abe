"""What can be told of workers and beats by asking them: who is there, what they know, consume and run under."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ops import clock
from ops.doctor import Finding, Site, finding
from ops.doctor.asking import Answers
from ops.doctor.settings import APART

COMPARED = (
    "timezone",
    "enable_utc",
    "task_acks_late",
    "task_retry_on_worker_lost",
    "task_reject_on_worker_lost",
    "task_time_limit",
    "task_soft_time_limit",
    "task_default_queue",
    "worker_prefetch_multiplier",
    "result_backend",
)
"""Settings that a worker must have as this process has them."""


def look(site: Site, answers: Answers, rows: list[Any], lengths: dict[str, int]) -> Iterator[Finding]:
    """Find what is wrong with who listens; the broker is there. `rows` are the enabled ones of beat."""
    site.told["workers"] = told(answers)
    yield from _beats(site, answers, rows)
    if not answers.workers:
        yield finding("E080", "No worker answered within a second.")
        return
    yield from _names(answers)
    yield from _tasks(answers, rows)
    yield from _queues(site, answers, rows, lengths)
    yield from _settings(site, answers)
    for node, ahead in sorted(answers.apart.items()):
        if abs(ahead) > APART:
            yield finding(
                "E046",
                f"The clock of {node} is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} this host's "
                f"({clock.shown(clock.now())}).",
            )


def told(answers: Answers) -> str:
    """Say in a line who answered."""
    names = [*dict.fromkeys(answers.workers), *dict.fromkeys(answers.beats)]
    return ", ".join(names) if names else "nobody answered"


def _beats(site: Site, answers: Answers, rows: list[Any]) -> Iterator[Finding]:
    if not site.uses_beat or not site.app.conf.beat_enable_remote_control:
        return
    if len(answers.beats) > 1:
        yield finding("E067", f"{len(answers.beats)} beats answered: {', '.join(answers.beats)}.")
    elif not answers.beats and rows:
        yield finding("E066", "No beat answered within a second, and there are schedules that are on.")


def _names(answers: Answers) -> Iterator[Finding]:
    for node, times in sorted(Counter(answers.workers).items()):
        if times > 1:
            yield finding("W081", f"{times} workers are called {node}.")


def _tasks(answers: Answers, rows: list[Any]) -> Iterator[Finding]:
    """Compare with what workers have registered; without their built-in tasks, which all have."""
    known = {task for tasks in answers.of("registered").values() for task in tasks or ()}
    if not known:
        return
    # A task may be shown with its options behind it: "app.task [rate_limit=10/m]".
    known = {task.split(" [")[0] for task in known}
    for row in rows:
        if row.task not in known and not row.task.startswith("celery."):
            yield finding("E081", f"Schedule {row.name!r} sends {row.task!r}, which no worker has registered.")


def _queues(site: Site, answers: Answers, rows: list[Any], lengths: dict[str, int]) -> Iterator[Finding]:
    if len(answers.of("active_queues")) < len(set(answers.workers)):
        return  # who did not say may consume it
    consumed = {queue["name"] for queues in answers.of("active_queues").values() for queue in queues or ()}
    named: dict[str, list[str]] = {}
    for row in rows:
        named.setdefault(row.queue or site.app.conf.task_default_queue, []).append(row.name)
    for queue in sorted({*named, *(name for name, length in lengths.items() if length), *site.app.amqp.queues}):
        if queue in consumed:
            continue
        why = [f"{lengths.get(queue, 0):,} messages wait in it"]
        if queue in named:
            why.append(f"schedules send to it: {', '.join(named[queue][:5])}{', ..' if len(named[queue]) > 5 else ''}")
        yield finding(
            "E082",
            f"No worker consumes the queue {queue!r}; {', and '.join(why)}.",
            f"start a worker for it: celery -A {_module(site.app)} worker --queues {queue}",
        )


def _module(app: Any) -> str:
    from django.conf import settings

    return str(settings.SETTINGS_MODULE).split(".")[0] if getattr(settings, "SETTINGS_MODULE", "") else str(app.main)


def _settings(site: Site, answers: Answers) -> Iterator[Finding]:
    from celery.utils.serialization import jsonify

    ours = jsonify({key: site.app.conf.get(key) for key in COMPARED}, unknown_type_filter=repr)
    ours["visibility_timeout"] = site.app.conf.broker_transport_options.get("visibility_timeout")
    for node, conf in sorted(answers.of("conf").items()):
        theirs = {key: conf[key] for key in COMPARED if key in conf}
        options = conf.get("broker_transport_options")
        if isinstance(options, dict):
            theirs["visibility_timeout"] = options.get("visibility_timeout")
        for key, value in theirs.items():
            if value != ours[key]:
                yield finding("W080", f"Worker {node} has {key} {value!r}, this process {ours[key]!r}.")
