"""The options of `manage.py repair_migrations` and `manage.py safe_migrate`."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from ops.management.engine_command import add_database_option, positive


def code(text: str) -> str:
    """Read --only for argparse."""
    from ops.drift.codes import CODES

    if text.upper() not in CODES:
        raise ArgumentTypeError(f"there is no code {text!r}; there is: {', '.join(CODES)}.")
    return text.upper()


def app_label(text: str) -> str:
    """Read --app for argparse: an installed app, or one that the history may know."""
    if not text.isidentifier():
        raise ArgumentTypeError(f"{text!r} is not the label of an app.")
    return text


def assignment(text: str) -> str:
    """Read OLD=NEW or COLUMN=LITERAL for argparse."""
    left, equals, right = text.partition("=")
    if not (equals and left.strip() and right.strip()):
        raise ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE.")
    return f"{left.strip()}={right.strip()}"


def migration(text: str) -> str:
    """Read APP.NAME for argparse."""
    app, dot, name = text.partition(".")
    if not (dot and app and name):
        raise ArgumentTypeError(f"{text!r} is not of the form APP.MIGRATION.")
    return text


def known(text: str) -> str:
    """Read CODE:OBJECT for argparse."""
    first, colon, thing = text.partition(":")
    if not (colon and thing.strip()):
        raise ArgumentTypeError(f"{text!r} is not of the form CODE:OBJECT, as in 'S24:table public.legacy'.")
    return f"{code(first)}:{thing.strip()}"


def repair_uuid(text: str) -> UUID:
    """Read --revert for argparse."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise ArgumentTypeError(f"{text!r} is not the number of a repair.") from exc


def add_repair_options(parser: CommandParser) -> None:
    """Add all options of repair_migrations."""
    many: dict[str, Any] = {"action": "extend", "nargs": "+", "default": []}
    look = parser.add_argument_group("what is looked at")
    add_database_option(look)  # type: ignore[arg-type]  # a group adds arguments as a parser does
    look.add_argument("--app", type=app_label, metavar="LABEL", help="only what belongs to these apps", **many)
    look.add_argument("--only", type=code, metavar="CODE", help="only these codes, planned or applied", **many)
    add_expected_options(look)
    look.add_argument(
        "--write-snapshot", type=Path, metavar="FILE", help="write what ought to be to a file, and do nothing else"
    )
    look.add_argument("--baseline", metavar="FILE", help="findings that are known: lines of a code and an object")
    look.add_argument("--ignore", type=known, metavar="CODE:OBJECT", help="a finding that is known", **many)
    do = parser.add_argument_group("what is done")
    do.add_argument("--apply", action="store_true", help="repair what can be; without it the plan is shown")
    do.add_argument("--dry-run", action="store_true", help="only look; with --revert too")
    do.add_argument("--check", action="store_true", help="exit with 5 where anything is wrong")
    do.add_argument("--no-input", action="store_true", help="with --apply: do not ask")
    do.add_argument(
        "--lock-timeout", type=positive, default=2_000, metavar="MS", help="longest wait for a lock (2,000)"
    )
    do.add_argument("--revert", type=repair_uuid, metavar="UUID", help="take a repair back, as far as nothing is lost")
    decide = parser.add_argument_group("what is decided")
    decide.add_argument(
        "--rename",
        type=assignment,
        metavar="OLD=NEW",
        help="TABLE.OLD=NEW, TABLE=NEW, APP.OLD=APP.NEW: it was renamed; SCHEMA.TABLE=SCHEMA.TABLE: moved",
        **many,
    )
    decide.add_argument(
        "--value",
        type=assignment,
        metavar="TABLE.COLUMN=LITERAL",
        help="what a column that is made again holds",
        **many,
    )
    decide.add_argument(
        "--record", type=migration, metavar="APP.NAME", help="it was applied, though that can't be proven", **many
    )
    decide.add_argument("--prune", type=migration, metavar="APP.NAME", help="take its row out of the history", **many)
    decide.add_argument("--redefine", metavar="NAME", help="make what was changed by hand what it was", **many)
    decide.add_argument("--allow-rewrite", action="store_true", help="change types that rewrite a table")
    decide.add_argument("--identity", action="store_true", help="make serial columns identity columns")
    decide.add_argument("--record-history", action="store_true", help="record the state that an empty history had")
    decide.add_argument("--unrecord-all", action="store_true", help="the whole history was faked: take it out")
    show = parser.add_argument_group("what is shown")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.add_argument("--show-sql", action="store_true", help="show the statements")


def add_expected_options(parser: Any) -> None:
    """Add how what ought to be is found."""
    parser.add_argument(
        "--snapshot", type=Path, metavar="FILE", help="take what ought to be from a file of --write-snapshot"
    )
    parser.add_argument("--no-python", action="store_true", help="do not run RunPython in the scratch database")
    parser.add_argument("--no-cache", action="store_true", help="replay, whatever is cached")


def add_safe_migrate_options(parser: CommandParser) -> None:
    """Add all options of safe_migrate."""
    parser.add_argument("app_label", nargs="?", help="only this app, as with migrate")
    parser.add_argument("migration_name", nargs="?", help="up to this migration, as with migrate")
    add_database_option(parser)
    parser.add_argument("--plan", action="store_true", help="look, and list what would be migrated; write nothing")
    parser.add_argument(
        "--wait", type=positive, default=600, metavar="SECONDS", help="longest wait for another one to end (600)"
    )
    parser.add_argument(
        "--lock-timeout", type=positive, default=2_000, metavar="MS", help="longest wait for a lock on a table (2,000)"
    )
    parser.add_argument("--allow-drift", action="store_true", help="migrate although repair_migrations finds something")
    parser.add_argument("--strict-lint", action="store_true", help="refuse where the linter warns")
    parser.add_argument("--no-input", "--noinput", action="store_true", help="ask nothing, as with migrate")
    parser.add_argument("--skip-checks", action="store_true", help="leave out the system checks of migrate")
    add_expected_options(parser)
    for refused in ("--fake", "--fake-initial", "--prune", "--run-syncdb"):
        parser.add_argument(refused, action="store_true", help="refused here: see docs/commands.md")
