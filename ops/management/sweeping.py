"""What `manage.py sweep` does: one look at every database, or one after another, and what came of each run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.core.management.base import CommandError
from django.db import Error, connections

from ops import logs
from ops.engine import sweeping
from ops.engine.lifecycle import Options, trouble
from ops.engine.session import DatabaseTrouble, in_words
from ops.management.engine_command import FAILED, REFUSED, STOPPED, EngineCommand, celery_is_used
from ops.management.run_verbs import run_databases
from ops.models import Run

CODES = {"failed": FAILED, "stopped": STOPPED, "refused": REFUSED}


def sweep(command: EngineCommand, options: dict[str, Any]) -> None:
    """Sweep once, or every so many seconds until asked to stop."""
    if options["every"]:
        logs.serve()
    with command.interruptible(options["database"] or "default") as stop:
        while True:
            found = _look(command, options, stop)
            if not options["every"]:
                break
            if stop.wait(options["every"]):
                return
    for outcome, code in CODES.items():
        if wrong := [one for one in found if one.outcome == outcome]:
            raise CommandError(f"Run {wrong[0].run} of {wrong[0].job}: {wrong[0].message}", returncode=code)


@contextmanager
def _outlived(command: EngineCommand, options: dict[str, Any]) -> Iterator[None]:
    """Let a service outlive a server that is away, and say so."""
    try:
        yield
    except (DatabaseTrouble, Error) as exc:
        if not options["every"]:
            raise
        command.stderr.write(str(in_words(exc, "Sweeping") if isinstance(exc, Error) else exc))


def _aliases(command: EngineCommand, options: dict[str, Any]) -> list[str]:
    for connection in connections.all(initialized_only=True):
        # Django lets go of a connection that was lost at the bounds of a request only.
        connection.close_if_unusable_or_obsolete()
    with _outlived(command, options), trouble("Looking for databases that keep runs"):
        return [options["database"]] if options["database"] else run_databases()
    return []


def _look(command: EngineCommand, options: dict[str, Any], stop: Any) -> list[sweeping.Swept]:
    found: list[sweeping.Swept] = []
    sent: list[str] = []
    for alias in _aliases(command, options):
        carried = Options(
            database=alias,
            note=command.stderr.write,
            stop=stop,
            leave=command.leave,
            agreed=True,
            rests_as=Run.State.QUEUED,
            started_from="manage.py sweep",
        )
        with _outlived(command, options):
            sent += _redeliver(command, alias)
            found += sweeping.sweep(alias, carried, _send())
    if options["json"]:
        command.print_json({"swept": [one.as_json() for one in found], "sent": sent})
        return found
    for one in found:
        command.stdout.write(f"Run {one.run} of {one.job}: {one.outcome}{f', {one.message}' if one.message else ''}")
    for told in sent:
        command.stdout.write(told)
    if not found and not sent and not options["every"]:
        command.stdout.write("No run is stale.")
    return found


def _send() -> sweeping.Send | None:
    """Return what sends a run to its workers; None in a project without Celery, where runs have none."""
    if not celery_is_used():
        return None
    from ops import tasks

    return partial(tasks.send, retry=False)


def _redeliver(command: EngineCommand, alias: str) -> list[str]:
    """Send messages that are missing; a broker that is away is said, and nothing is lost by it."""
    if not celery_is_used():
        return []
    from ops.redelivery import redeliver

    try:
        return redeliver(alias)
    except sweeping.Undelivered as exc:
        command.stderr.write(str(exc))
        return []
