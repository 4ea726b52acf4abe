"""The options of `manage.py receivables`."""

from argparse import ArgumentTypeError

from django.core.management.base import CommandParser

from ops.management.engine_command import instant

FIGURES = ("pending", "today", "tomorrow", "later", "overdue", "refunds", "lacking")
"""What --orders can be narrowed to."""


def ages(text: str) -> tuple[int, ...]:
    """Read the bounds of ages for argparse."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ArgumentTypeError(f"{text!r} are no ages: give the last day of each but the oldest, such as 30,60,90.")
    return tuple(map(int, parts))


def days(text: str) -> int:
    """Read a number of days, at least 0, for argparse."""
    if not text.isdecimal() or int(text) >= 2**31:
        raise ArgumentTypeError(f"{text!r} is not a number of days.")
    return int(text)


def add_options(parser: CommandParser) -> None:
    """Add what is asked for, and how it is shown."""
    parser.add_argument(
        "--partner", action="append", metavar="PARTNER", help="only this partner, by its client's name or its id"
    )
    parser.add_argument(
        "--as-of", type=instant, metavar="INSTANT", help="the instant that counts (now); statuses are those of today"
    )
    parser.add_argument(
        "--rates",
        choices=("sale", "as-of"),
        default="sale",
        help="convert by the rates of the moment of sale, or by the newest as of the day [sale]",
    )
    parser.add_argument("--currency", default="", metavar="CODE", help="tell all in this one, not each in its own")
    parser.add_argument(
        "--ages", type=ages, metavar="DAYS", help="the last day overdue of each age but the oldest [30,60,90]"
    )
    parser.add_argument(
        "--max-rate-age", type=days, default=10, metavar="DAYS", help="an older rate counts as missing [10]"
    )
    parser.add_argument(
        "--orders",
        nargs="?",
        const="all",
        choices=("all", *FIGURES),
        metavar="FIGURE",
        help=f"list the orders that one partner's figures are made of; all, or of one of {', '.join(FIGURES)}",
    )
    parser.add_argument(
        "--compare", type=instant, metavar="INSTANT", help="beside it, what was saved as of another instant"
    )
    parser.add_argument(
        "--incomplete", action="store_true", help="accept sums that lack amounts: exit 0, and save them"
    )
    parser.add_argument("--save", action="store_true", help="save the result, in a run of billing.save_receivables")
    parser.add_argument("--verify", action="store_true", help="compute it again by the loop over orders: 0 may differ")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print one JSON object")
    how.add_argument("--csv", action="store_true", help="print CSV, a row for each partner (or order)")
    parser.add_argument("--show-sql", action="store_true", help="print the statement, run nothing")
    parser.add_argument("--explain", action="store_true", help="print the server's plan of the statement")
