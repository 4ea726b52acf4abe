"""The options of `manage.py stats`."""

from django.core.management.base import CommandParser

from ops.management.engine_command import positive


def add_options(parser: CommandParser) -> None:
    """Add what is asked for, and how it is shown."""
    parser.add_argument("report", nargs="?", default="", metavar="NAME", help="the report; without it they are listed")
    parser.add_argument("--list", action="store_true", help="list the reports there are")
    parser.add_argument(
        "--as-of", metavar="INSTANT", help="the instant or day that is today, in the report's zone; without it, now"
    )
    _repeated(parser, "--window", "windows", "only these windows, such as today last_7_days 2026-01-01..2026-02-01")
    _repeated(parser, "--filter", "filters", "NAME=VALUE, what it is restricted to")
    _repeated(parser, "--measure", "measures", "show only these measures")
    _repeated(parser, "--group", "groups", "tell apart only by these groups")
    parser.add_argument("--no-groups", action="store_true", help="show the totals alone")
    parser.add_argument("--zone", default="", metavar="ZONE", help="whose days they are, instead of the report's")
    parser.add_argument("--no-rollup", action="store_true", help="read the table, though there is a rollup")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--table", action="store_true", help="print a table (the default), with bars at a terminal")
    how.add_argument("--json", action="store_true", help="print one JSON object")
    how.add_argument("--csv", action="store_true", help="print CSV, a row for each window and group")
    parser.add_argument("--plot", default="", metavar="FILE", help="draw it into FILE.svg or FILE.png")
    parser.add_argument("--save", action="store_true", help="save what it comes to, as a run of ops.save_report")
    parser.add_argument(
        "--history",
        nargs="?",
        const="",
        default=None,
        metavar="WINDOW",
        help="show what was saved, of all windows or one, instead of computing",
    )
    parser.add_argument(
        "--limit", type=positive, default=30, metavar="N", help="with --history: the latest N instants [30]"
    )
    parser.add_argument("--advise", action="store_true", help="print the index that serves it, or that is missing")
    parser.add_argument("--explain", action="store_true", help="print the server's plan of its statement")
    parser.add_argument("--analyze", action="store_true", help="with --explain: execute it, and print real figures")
    parser.add_argument("--show-sql", action="store_true", help="print its statement, run nothing")


def _repeated(parser: CommandParser, option: str, dest: str, words: str) -> None:
    parser.add_argument(
        option,
        dest=dest,
        action="extend",
        nargs="+",
        default=None,
        metavar=option.removeprefix("--").upper(),
        help=words,
    )
