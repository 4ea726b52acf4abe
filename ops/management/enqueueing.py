"""What `--enqueue` and `--wait` do: hand a run to the workers, a new one or one that has stopped, and follow it."""

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser

from ops.management.engine_command import USAGE, EngineCommand, celery_is_used

if TYPE_CHECKING:
    from ops.engine.jobs import Job, Params
    from ops.engine.options import Options
    from ops.models import Run

NOT_WITH = ("dry_run", "check", "show_sql", "explain")


def add_options(parser: CommandParser) -> None:
    """Add the options that hand a run on."""
    parser.add_argument("--enqueue", action="store_true", help="hand the run to the workers, and return")
    parser.add_argument("--wait", action="store_true", help="with --enqueue: follow the run, and exit as it ends")
    parser.add_argument("--queue", metavar="NAME", help="with --enqueue: the queue, instead of the job's own")


def check(options: dict[str, Any]) -> None:
    """Refuse combinations that mean nothing."""
    if not options["enqueue"]:
        if options["wait"] or options["queue"]:
            what = "--wait" if options["wait"] else "--queue"
            raise CommandError(f"{what} says how to hand a run on: add --enqueue.", returncode=USAGE)
        return
    if given := [name for name in NOT_WITH if options[name]]:
        raise CommandError(
            f"--{given[0].replace('_', '-')} writes nothing, so there is nothing to hand on: leave --enqueue out.",
            returncode=USAGE,
        )
    _must_have_celery()


def enqueue(command: EngineCommand, job: "Job", params: "Params", settings: "Options", options: dict[str, Any]) -> None:
    """Show the plan and ask, at a terminal; open the run, send its message, and follow it where that was asked for."""
    from dataclasses import replace

    from ops.engine import plan, run
    from ops.management import run_verbs

    queue = known(options["queue"] or job.queue)
    if not options["no_input"]:
        _, found = run.plan_only(job, params, settings, options["as_of"])
        plan.guard(found, settings.guards, str(job.bind(params).target._meta.verbose_name_plural))
        command.show_plan(found, job.name, options["database"])
        if not command.ask(f"Hand this to the workers of {queue}?", no_input=False):
            raise run.Declined("Declined: no run was opened.")
    record = run.enqueue(job, params, replace(settings, queue=queue, confirm=None), options["as_of"])
    sent = _send(command, record)
    if options["wait"]:
        watching = {"run": record.pk, "database": options["database"], "json": options["json"], "interval": 0.5}
        run_verbs.watch(command, watching)
    else:
        _tell(command, record, sent=sent, quiet=options["json"])


def hand_back(command: EngineCommand, found: "Run", options: dict[str, Any]) -> None:
    """Hand a run that is stopped, paused or stale to the workers, who carry it on under what it began with."""
    from ops.engine import control, owner, registry
    from ops.engine.plan import Refused
    from ops.engine.session import Session
    from ops.models import Run

    _must_have_celery()
    if options["as_begun"]:
        raise CommandError("Workers go on under the SQL that is installed: leave --as-begun out.", returncode=USAGE)
    session = Session(options["database"])
    if holder := owner.live_holder(session, found):
        raise Refused(f"Run {found.pk} of {found.job} is being carried out by {holder}.")
    if not found.consent:
        calls = found.calls("resume")
        raise Refused(f"Nobody has said yes to the plan of run {found.pk}: '{calls}' shows it and asks.")
    own = registry.find(found.job).queue if found.job in registry.names() else "slow"
    queue = known(options["queue"] or found.queue or own)
    if found.state != Run.State.QUEUED:
        control.settle(session, found, Run.State.QUEUED, f"Handed to the workers by {owner.who()}.")
    Run.objects.using(session.alias).filter(pk=found.pk).update(queue=queue, wish=Run.Wish.NONE)
    found.refresh_from_db(using=session.alias)
    _tell(command, found, sent=_send(command, found), quiet=options["json"])


def _send(command: EngineCommand, record: "Run") -> bool:
    from ops import tasks
    from ops.engine.sweeping import Undelivered

    try:
        tasks.send(record)
    except Undelivered as exc:
        command.note(str(exc))
        return False
    return True


def _tell(command: EngineCommand, record: "Run", *, sent: bool, quiet: bool) -> None:
    if quiet:
        told = {"run": record.pk, "job": record.job, "state": record.state, "queue": record.queue, "sent": sent}
        command.print_json(told)
    else:
        command.stdout.write(f"Run {record.pk}: queued on {record.queue}; '{record.calls('watch')}' follows it.")


def known(queue: str) -> str:
    """Return the name of a queue that runs may go to; raise CommandError for another."""
    from django.conf import settings

    names = list(getattr(settings, "SETWISE_QUEUES", ("fast", "slow")))
    if queue not in names:
        raise CommandError(f"There is no queue {queue!r}; there is: {', '.join(names)}.", returncode=USAGE)
    return queue


def _must_have_celery() -> None:
    if not celery_is_used():
        raise CommandError(
            "This project has no Celery to hand a run to: install setwise[schedules], or leave --enqueue out.",
            returncode=USAGE,
        )
