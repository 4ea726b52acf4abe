"""What `load_orders` is told: the terms, and what new partners are given, as options."""

from argparse import ArgumentTypeError
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from ops.management.engine_command import add_database_option, positive

if TYPE_CHECKING:
    from billing.orders import Terms

NO_LIMIT = "none"


def words(text: str) -> tuple[str, ...]:
    """Read a list of words for argparse."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise ArgumentTypeError(f"{text!r} names nothing: give one or several, with commas between them.")
    return found


def limits(text: str) -> tuple[Decimal | None, ...]:
    """Read a list of credit limits for argparse; `none` is no limit."""
    found: list[Decimal | None] = []
    for word in words(text):
        try:
            amount = None if word == NO_LIMIT else Decimal(word)
        except InvalidOperation as exc:
            raise ArgumentTypeError(f"{word!r} is no limit: give an amount such as 20000, or {NO_LIMIT}.") from exc
        if amount is not None and not (amount.is_finite() and 0 <= amount < 10**15):
            raise ArgumentTypeError(f"{word!r} is no limit: an amount is never negative and below 10^15.")
        found.append(amount)
    return tuple(found)


def days(text: str) -> int:
    """Read a number of days for argparse."""
    if not text.isdecimal() or int(text) > 10_000:
        raise ArgumentTypeError(f"{text!r} is not a number of days from 0 to 10,000.")
    return int(text)


def add_order_options(parser: CommandParser) -> None:
    """Add the options; those that are lists give new partners one each, by their number."""
    add = parser.add_argument
    add("--terms", type=days, default=30, metavar="DAYS", help="from departure to the last day of payment (30)")
    add(
        "--currencies",
        type=words,
        default=("KRW", "USD", "EUR", "JPY"),
        metavar="CODE,..",
        help="that new partners report in (KRW,USD,EUR,JPY)",
    )
    add("--zones", type=words, default=("Asia/Seoul",), metavar="ZONE,..", help="of new partners (Asia/Seoul)")
    add(
        "--credit-limits",
        type=limits,
        default=(None,),
        metavar="AMOUNT,..",
        help=f"of new partners; {NO_LIMIT} is no limit ({NO_LIMIT})",
    )
    add("--credit-currency", default="EUR", metavar="CODE", help="of the credit limits (EUR)")
    add("--max-age-of-rate", type=positive, default=10, metavar="DAYS", help="an older rate is missing (10)")
    add("--assume-payments", action="store_true", help="invent when orders were paid, the same each time")
    add("--dry-run", action="store_true", help="plan only")
    add("--check", action="store_true", help="plan only; exit 5 if an order would be written")
    add("--no-input", action="store_true", help="do not ask")
    add_database_option(parser)
    add("--json", action="store_true", help="print one JSON object")


def terms(options: dict[str, Any]) -> "Terms":
    """Return what the options say."""
    from billing.orders import Terms

    return Terms(
        days=options["terms"],
        currencies=options["currencies"],
        zones=options["zones"],
        limits=options["credit_limits"],
        credit_currency=options["credit_currency"],
        max_age=options["max_age_of_rate"],
        assume_payments=options["assume_payments"],
    )
