"""What `manage.py safe_migrate` does: one at a time, after a look at all that may go wrong, Django's own migrate."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import Error, connections
from django.db.backends.signals import connection_created

from ops import clock
from ops.drift import guarding, preflight
from ops.engine.plan import Refused
from ops.engine.session import LOCK_NOT_AVAILABLE, Session, in_words, sqlstate
from ops.management import display, repair_actions, repair_display
from ops.management.engine_command import FAILED, REFUSED, STOPPED, USAGE, EngineCommand

Given = dict[str, Any]

FAKES = {
    "fake": "safe_migrate records nothing that was not done: 'manage.py repair_migrations' tells what is there already "
    "and records it once that is proven",
    "fake_initial": "--fake-initial looks at the names of tables only: 'manage.py repair_migrations' compares all of "
    "them, and records what is proven",
    "prune": "a row of the history is evidence: 'manage.py repair_migrations --prune APP.NAME' takes one out with an "
    "audit",
    "run_syncdb": "tables without migrations can't be told from drift: run 'manage.py migrate --run-syncdb' by itself",
}


def run(command: EngineCommand, options: Given) -> None:
    """Wait for others, look, and migrate; raise CommandError where it is not safe to."""
    for name, why in FAKES.items():
        if options[name]:
            raise CommandError(f"--{name.replace('_', '-')} is refused: {why}.", returncode=USAGE)
    if options["migration_name"] and not options["app_label"]:
        raise CommandError("A migration is named after its app.", returncode=USAGE)
    if options["plan"]:
        _look(command, options)
        _migrate(options, plan=True)
        return
    with _alone(command, options["database"], options["wait"]):
        _look(command, options)
        with _lock_timeout(options["database"], options["lock_timeout"]):
            _migrate(options)


@contextmanager
def _alone(command: EngineCommand, alias: str, seconds: int) -> Iterator[None]:
    """Hold the lock of those who migrate, on a connection of its own; wait for whoever has it, and say who that is."""
    name = "setwise safe_migrate"
    began = clock.monotonic()
    with ExitStack() as stack:
        try:
            stack.enter_context(guarding.guard(alias, wait=0.2, history=False, name=name))
        except Refused as exc:
            command.note(f"Waiting for up to {seconds:,} s. {exc}")
            left = max(began + seconds - clock.monotonic(), 0.1)
            stack.enter_context(guarding.guard(alias, wait=left, history=False, name=name))
        yield


def _look(command: EngineCommand, options: Given) -> None:
    """Print what is in the way of migrating, and what the linter says; raise CommandError where that refuses."""
    # Options of the same name mean something else here.
    named = ("database", "snapshot", "no_python", "no_cache")
    found = repair_actions.planned({name: options[name] for name in named})
    obstacles = preflight.look(found, allow_drift=options["allow_drift"], strict_lint=options["strict_lint"])
    page = repair_display.Page(terminal=command.stdout.isatty())
    for one in obstacles:
        page.add(one.words, "refused: " if one.refuses else "warning: ", "  ")
    for note in found.notes:
        page.add(note, "note: ", "  ")
    repair_display.lint(page.add, found.lint, options["verbosity"])
    if told := str(page):
        command.stdout.write(told)
    refusing = [one for one in obstacles if one.refuses]
    if not refusing:
        return
    more = "" if found.alias == "default" else f" --database {found.alias}"
    advice = f"'manage.py repair_migrations{more}' shows what can be done about it"
    if all(one.passable for one in refusing):
        advice += ", --allow-drift migrates all the same"
    verb = "is" if len(refusing) == 1 else "are"
    raise CommandError(
        f"Not migrated: {display.count(len(refusing), 'thing')} {verb} in the way; {advice}.", returncode=REFUSED
    )


def _migrate(options: Given, *, plan: bool = False) -> None:
    words = [one for one in (options["app_label"], options["migration_name"]) if one]
    try:
        call_command(
            "migrate", *words, database=options["database"], interactive=False, verbosity=options["verbosity"],
            plan=plan, skip_checks=options["skip_checks"], no_color=options["no_color"],
            force_color=options["force_color"], stdout=options.get("stdout"), stderr=options.get("stderr"),
        )  # fmt: skip
    except Error as exc:
        advice = {
            LOCK_NOT_AVAILABLE: "what was migrated before stays, and this one was rolled back where it is atomic: "
            "start again when the table is free, or with a longer --lock-timeout"
        }
        code = STOPPED if sqlstate(exc) == LOCK_NOT_AVAILABLE else FAILED
        raise CommandError(str(in_words(exc, "Migrating", advice)), returncode=code) from exc


@contextmanager
def _lock_timeout(alias: str, milliseconds: int) -> Iterator[None]:
    """Let no statement of Django's connection wait longer for a lock, also where a migration opens another one."""
    timeout = {"lock_timeout": f"{milliseconds}ms"}

    def limit(connection: Any, **kwargs: Any) -> None:
        if connection.alias == alias:
            Session(alias).execute("ops/set_session_lock_timeout.sql", timeout)

    connections[alias].ensure_connection()
    ((before, _),) = Session(alias).execute("ops/set_session_lock_timeout.sql", timeout)
    connection_created.connect(limit)
    try:
        yield
    finally:
        connection_created.disconnect(limit)
        if connections[alias].connection is not None and connections[alias].is_usable():
            Session(alias).execute("ops/set_session_lock_timeout.sql", {"lock_timeout": before})
