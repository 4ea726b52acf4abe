"""The arguments of the verbs of `manage.py cron`."""

from argparse import ArgumentTypeError

from django.core.management.base import CommandParser

from ops.clock.cron import DIALECTS
from ops.clock.zones import read_zone
from ops.management.engine_command import instant, positive

VERBS = {
    "convert": "the same instants as crontab lines of another zone",
    "next": "when a line fires next: in its own zone, in Seoul and in UTC",
    "explain": "what a line says, in words",
    "lint": "what Celery, the admin of beat and Vixie cron each make of a line; exit 5 where something is found",
}
EXPRESSION = "minute hour day-of-month month day-of-week, quoted"


def zone(text: str) -> str:
    """Read a zone for argparse; its text is kept."""
    try:
        read_zone(text)
    except ValueError as exc:
        raise ArgumentTypeError(str(exc)) from exc
    return text


def add_verb_options(parser: CommandParser, verb: str) -> None:
    """Add the arguments of one verb."""
    offset = "a name such as Asia/Seoul, or an offset: +09:00 (behind UTC with an equals sign: {}=-03:30)"
    if verb == "convert":
        parser.add_argument("expression", nargs="*", metavar="EXPR", help=f"{EXPRESSION}; several are one schedule")
        parser.add_argument(
            "--from", dest="source", type=zone, required=True, metavar="ZONE", help=offset.format("--from")
        )
        parser.add_argument("--to", dest="target", type=zone, required=True, metavar="ZONE", help=offset.format("--to"))
        parser.add_argument("--start", metavar="DATE", help="the zones are looked at from this day on (last Christmas)")
        parser.add_argument("--end", metavar="DATE", help="up to this day (10 March over four years later)")
        parser.add_argument("--file", metavar="PATH", help="a whole crontab, commands and all; - is standard input")
    else:
        parser.add_argument("expression", nargs="+", metavar="EXPR", help=EXPRESSION)
        words = "TIME_ZONE" if verb == "next" else "without it none"
        parser.add_argument("--zone", type=zone, metavar="ZONE", help=f"{offset.format('--zone')}; {words}")
    if verb == "next":
        parser.add_argument("--count", type=positive, default=10, metavar="N", help="how many firings")
        parser.add_argument(
            "--after", type=instant, metavar="INSTANT", help="only later ones; now, where it is not given"
        )
    if verb != "lint":
        parser.add_argument("--dialect", choices=DIALECTS, default="celery", help="who is to read the line")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
