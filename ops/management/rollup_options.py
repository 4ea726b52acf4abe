"""The arguments of the verbs of `manage.py rollup`."""

from django.core.management.base import CommandParser

from ops.management.engine_command import add_database_option, positive

VERBS = {
    "list": "what rollups there are, whether they are used, and what waits to be computed",
    "refresh": "compute anew what was written to since the last refresh, of one rollup or all",
    "rebuild": "build a rollup from nothing: the first time, and after its declaration has changed",
    "verify": "hold every sum that is kept against the source; exit 1 where one differs",
    "drop": "remove a rollup, with its triggers; its report is computed from the table again",
}
ONE = ("rebuild", "drop")
"""Verbs that take one rollup."""
WRITES = ("refresh", "rebuild", "drop")


def add_verb_options(parser: CommandParser, verb: str) -> None:
    """Add the arguments of one verb."""
    if verb in ONE:
        parser.add_argument("name", metavar="NAME", help="the report's name")
    else:
        parser.add_argument("name", metavar="NAME", nargs="?", default="", help="only that of this report")
    if verb in WRITES:
        parser.add_argument("--no-input", action="store_true", help="do not ask")
        parser.add_argument(
            "--lock-timeout", type=positive, default=2_000, metavar="MS", help="longest wait for a lock"
        )
    add_database_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
