"""The arguments of the verbs of `manage.py cache`."""

import json
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import add_database_option

VERBS = {
    "list": "what is cached, from which tables, and how often it was found",
    "show": "the values that are kept of one name: which still answer, how old they are, of which versions",
    "invalidate": "let no value that was computed so far answer any more",
    "warm": "compute beforehand what is declared to be",
    "verify": "compute anew every value that would answer, and compare; exit 1 where one differs",
    "install": "make the triggers that move the versions of tables, where one is missing or altered",
}


def arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Read a function's arguments for argparse: a JSON list in their order, or an object by their names."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as exc:
        raise ArgumentTypeError(f'{text!r} is no JSON ({exc}); write [1, "KRW"] or {{"client": 1}}.') from exc
    if isinstance(found, dict):
        return [], found
    return (found, {}) if isinstance(found, list) else ([found], {})


def add_verb_options(parser: CommandParser, verb: str) -> None:
    """Add the arguments of one verb."""
    if verb == "install":
        add_database_option(parser)
    elif verb in ("show", "invalidate"):
        parser.add_argument("name", metavar="NAME", help="as 'cache list' names it")
    elif verb != "list":
        parser.add_argument("name", metavar="NAME", nargs="?", default="", help="only this one")
    if verb == "show":
        parser.add_argument("given", metavar="ARGS", nargs="?", type=arguments, help="only of these arguments, as JSON")
    elif verb == "invalidate":
        parser.add_argument("--args", dest="given", metavar="JSON", type=arguments, help="only of these arguments")
    elif verb == "verify":
        parser.add_argument(
            "--mend", action="store_true", help="drop what differs, and move the versions of its tables"
        )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
