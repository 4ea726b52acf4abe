"""The arguments of the verbs of `manage.py runs`."""

from argparse import SUPPRESS

from django.core.management.base import CommandParser

from ops.management.engine_command import add_database_option, of_any_size, positive

VERBS = {
    "list": "the newest runs, of all databases",
    "show": "one run whole: who, what, when, its plan, its events",
    "watch": "follow a run until it ends",
    "history": "every change that runs made to one row",
    "pause": "stop a run after its batch; it stays until it is resumed",
    "resume": "carry an unfinished run on",
    "cancel": "give an unfinished run up; what it wrote stays and can be reverted",
    "retune": "change batch size, target time or workers of an unfinished run",
    "join": "lend a hand to a run that another process carries out",
    "revert": "set the rows of a run back where they still hold what it wrote",
    "lift": "lift the holds that a revert left, so that sweeps take its rows again",
    "rejects": "the bad records of a load, with --output as a file that can be mended and loaded",
    "prune": "forget old runs, their events and changesets",
}

ASKING = ("revert", "resume", "prune")


def add_verb_options(parser: CommandParser, verb: str) -> None:
    """Add the arguments of one verb."""
    if verb == "history":
        parser.add_argument("model", metavar="APP.MODEL")
        parser.add_argument(
            "key", nargs="+", metavar="PK", help="the primary key; several values where it is composite"
        )
    elif verb == "list":
        parser.add_argument("--job", help="only runs of this job")
        parser.add_argument("--schedule", metavar="NAME", help="only runs that this schedule has started")
        parser.add_argument("--limit", type=positive, default=20, metavar="N")
    elif verb == "prune":
        parser.add_argument(
            "--older-than", type=positive, required=True, metavar="DAYS", help="runs that ended so many days ago"
        )
    elif verb == "pause":
        parser.add_argument("run", type=of_any_size, nargs="?", metavar="ID")
        parser.add_argument("--all", action="store_true", help="every unfinished run")
    else:
        parser.add_argument("run", type=of_any_size, metavar="ID")
    if verb == "rejects":
        parser.add_argument("--output", metavar="PATH", help="write the records to a new file; - is standard output")
        parser.add_argument("--limit", type=positive, default=50, metavar="N", help="how many to list")
    if verb in ("revert", "prune"):
        parser.add_argument("--dry-run", action="store_true", help="plan only")
    if verb in ASKING:
        parser.add_argument("--no-input", action="store_true", help="do not ask")
    if verb in ("revert", "resume"):
        parser.add_argument(
            "--lock-timeout", type=positive, default=2_000, metavar="MS", help="longest wait for a lock"
        )
    if verb == "resume":
        parser.add_argument(
            "--as-begun", action="store_true", help="under the SQL that it began with, where that has changed since"
        )
        parser.add_argument("--enqueue", action="store_true", help="hand it to the workers, and return")
        parser.add_argument("--queue", metavar="NAME", help="with --enqueue: the queue, instead of its own")
    if verb == "retune":
        parser.add_argument("--batch-size", type=positive, metavar="ROWS", help="rows of one commit")
        parser.add_argument("--target-time", type=positive, metavar="MS", help="how long a batch is to take, instead")
        parser.add_argument("--workers", type=positive, metavar="N", help="processes that share the work")
    if verb == "watch":
        parser.add_argument("--interval", type=positive, default=1, metavar="SECONDS", help="between two looks")
    if verb == "join":
        parser.add_argument("--child-of", type=positive, metavar="PID", help=SUPPRESS)
    # Without it, `list` and `pause --all` look at all databases.
    add_database_option(parser, default=None if verb in ("list", "pause") else "default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
