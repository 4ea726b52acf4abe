"""What all commands on the engine share: the question before writing, progress, output, errors, exit codes.

Exit codes: 0 done; 1 failed (an error, no server, done but unverified); 2 usage; 3 refused (a guard, another owner,
declined); 4 stopped and resumable; 5 `--check` found something to do.
"""

import json
import signal
import socket
import sys
import threading
from argparse import ArgumentTypeError, _SubParsersAction
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ops import clock, logs

if TYPE_CHECKING:
    # At run time only where a command runs: `--help` needs no engine.
    from ops.engine.plan import Plan

FAILED, USAGE, REFUSED, STOPPED, FOUND = 1, 2, 3, 4, 5

INTERRUPTED = "Interrupted: what was committed stays; 'manage.py runs list' shows whether a run is unfinished."

MOST = 2**31 - 1
"""The largest number that the server takes as an integer: of rows, or of milliseconds."""

ERASE_LINE = "\r\x1b[2K"

STOPPING = "Stopping after this batch; once more leaves at once (nothing is lost either way)."


def instant(text: str) -> datetime:
    """Read --as-of for argparse."""
    try:
        return clock.parse_instant(text)
    except ValueError as exc:
        raise ArgumentTypeError(str(exc)) from exc


def positive(text: str) -> int:
    """Read a whole number of at least 1 for argparse, not larger than the server's integer."""
    if of_any_size(text) > MOST:
        raise ArgumentTypeError(f"{text!r} is more than {MOST:,}.")
    return int(text)


def of_any_size(text: str) -> int:
    """Read a whole number of at least 1 for argparse; whoever looks a row up by it says that there is none."""
    # Python refuses to read thousands of digits.
    if not text.isdecimal() or len(text) > 1000 or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1.")
    return int(text)


def percent(text: str) -> Decimal:
    """Read a percentage of at least 0 for argparse."""
    try:
        value = Decimal(text)
    except InvalidOperation as exc:
        raise ArgumentTypeError(f"{text!r} is not a percentage: write a number such as 5 or 7.5.") from exc
    if not value.is_finite() or value < 0:
        raise ArgumentTypeError(f"{text!r} is not a percentage of at least 0.")
    return value


def alias(text: str) -> str:
    """Read --database for argparse."""
    from django.db import connections

    if text not in connections:
        raise ArgumentTypeError(f"there is no database {text!r} in DATABASES; there is: {', '.join(connections)}.")
    return text


def celery_is_used() -> bool:
    """Tell whether the project has Celery and schedules: ops works without."""
    from django.apps import apps

    return apps.is_installed("django_celery_beat")


class _Parser(CommandParser):
    """A parser whose complaint is one sentence; `--help` shows the options."""

    def error(self, message: str) -> NoReturn:
        """Complain and exit with 2, or raise CommandError with that code where Python has called."""
        sentence = f"{message.rstrip('.')}; '{self.prog.strip()} --help' shows what there is."
        if self.called_from_command_line:
            self.exit(USAGE, f"CommandError: {sentence}\n")
        raise CommandError(sentence, returncode=USAGE)


class EngineCommand(BaseCommand):
    """A command on the engine: its errors become one sentence and the exit code of the table above."""

    _asking = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stop = threading.Event()
        self.leave = threading.Event()
        self._answered = threading.Event()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser; Django gives no other way to choose its class."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        for each in (parser, *verbs(parser).values()):
            each.__class__ = _Parser
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Execute as Django does; with --verbosity 2 the log says what happens to runs."""
        if options["verbosity"] >= 2:
            logs.serve()
        # Here, as `--help` needs no engine.
        from ops.management import display

        with display.styled(not options["no_color"]):
            return super().execute(*args, **options)

    def interactive(self) -> bool:
        """Tell whether somebody can be asked."""
        return sys.stdin is not None and sys.stdin.isatty() and self.stdout.isatty()

    @contextmanager
    def outcome(self) -> Iterator[None]:
        """Turn the engine's exceptions into CommandError with their exit code."""
        from django.db import Error

        from ops import checks
        from ops.engine import jobs, owner, parameters, plan, registry, run, session

        # Commands for what is broken skip the checks that Django makes before the others.
        for message in checks.psycopg2_is_the_driver():
            raise CommandError(f"{message.msg} {message.hint}", returncode=FAILED)
        codes: dict[type[Exception], int] = {
            parameters.BadParameters: USAGE,
            registry.UnknownJob: USAGE,
            jobs.BrokenJob: FAILED,
            plan.Refused: REFUSED,
            run.Declined: REFUSED,
            run.Cancelled: REFUSED,
            owner.Taken: REFUSED,
            run.Stopped: STOPPED,
            run.Failed: FAILED,
            run.Unusable: FAILED,
            session.DatabaseTrouble: FAILED,
        }
        try:
            yield
        except tuple(codes) as exc:
            if isinstance(exc, session.DatabaseTrouble) and self.leave.is_set():
                raise CommandError(INTERRUPTED, returncode=STOPPED) from exc
            code = next(code for kind, code in codes.items() if isinstance(exc, kind))
            raise CommandError(str(exc), returncode=code) from exc
        except Error as exc:
            raise CommandError(str(session.in_words(exc, "The command")), returncode=FAILED) from exc
        except KeyboardInterrupt as exc:
            raise CommandError(INTERRUPTED, returncode=STOPPED) from exc

    @contextmanager
    def interruptible(self, database: str = "default", told: str = STOPPING) -> Iterator[threading.Event]:
        """Let the first Ctrl-C (or TERM) ask for a stop after the batch; the second cancels the running statement.

        `told` is what is said at the first. A thread hears of the signals, for this one may be waiting for the
        server, where Python handles none.
        """
        from django.db import connections

        stop = self._stop = threading.Event()
        leave = self.leave = threading.Event()
        if threading.current_thread() is not threading.main_thread():
            yield stop
            return
        wrapper = connections[database]  # this thread's own; the other would get another
        hears, tells = socket.socketpair()
        tells.setblocking(False)  # as signal.set_wakeup_fd wants it

        def watch() -> None:
            heard = 0
            while (byte := hears.recv(1)) not in (b"", b"\0"):
                if byte[0] not in (signal.SIGINT, signal.SIGTERM):
                    continue
                if self._answered.wait(0.05):
                    self._answered.clear()  # it was the answer to a question
                    continue
                heard += 1
                stop.set()
                if heard == 1:
                    self.note(told)
                else:
                    leave.set()
                    if wrapper.connection is not None:
                        wrapper.connection.cancel()

        def handle(signum: int, frame: object) -> None:
            if self._asking:
                self._answered.set()
                raise KeyboardInterrupt

        thread = threading.Thread(target=watch, daemon=True, name="signals")
        thread.start()
        wakeup = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            tells.send(b"\0")
            thread.join()
            hears.close()
            tells.close()

    def ask(self, question: str, *, no_input: bool) -> bool:
        """Ask for consent at a terminal; with --no-input it is given. Ctrl-C and Ctrl-D are a no."""
        if no_input:
            return True
        if self._stop.is_set():
            return False
        # Before the question is seen: whoever answers it by Ctrl-C may be quick.
        self._asking = True
        try:
            self.stdout.write(f"{question} [y/N] ", ending="")
            self.stdout.flush()
            return sys.stdin.readline().strip().lower() in ("y", "yes")
        except KeyboardInterrupt:
            self.stdout.write("")
            return False
        finally:
            self._asking = False

    def must_not_guess(
        self, *, no_input: bool, quiet: bool = False, or_else: str = ", or --dry-run to see the plan only"
    ) -> None:
        """Refuse to write where nobody can be asked, or --json leaves no room to, and nobody said --no-input."""
        if no_input or (self.interactive() and not quiet):
            return
        why = "--json prints one object and asks nothing" if quiet else "There is no terminal to ask at"
        raise CommandError(f"{why}: add --no-input to write{or_else}.", returncode=USAGE)

    def show_plan(self, found: "Plan", job: str, database: str) -> None:
        """Print a plan, and whose holds it respects."""
        from ops.engine import registry
        from ops.management import display

        rows, labels = registry.words(job)
        self.stdout.write(display.plan(found.as_json(), rows=rows, labels=labels, terminal=self.stdout.isatty()))
        if found.held:
            self.stdout.write(f"\n{held_by(database, job)}")
        self.stdout.write("")

    def confirming(self, job: str, options: dict[str, Any]) -> "Callable[[Plan], bool]":
        """Return the function that shows a plan and asks whether to write it."""

        def confirm(found: "Plan") -> bool:
            from ops.management import display

            if not options["json"]:
                self.show_plan(found, job, options["database"])
            return self.ask(f"Write {display.count(found.changes, 'row')}?", no_input=options["no_input"])

        return confirm

    def print_json(self, document: dict[str, Any]) -> None:
        """Print one JSON object."""
        self.stdout.write(json.dumps(document, ensure_ascii=False, default=str))

    def note(self, text: str) -> None:
        """Say what happens meanwhile, on stderr; at a terminal above the progress bar, which is drawn again."""
        above = ERASE_LINE if self.stdout.isatty() and self.stderr.isatty() else ""
        self.stderr.write(f"{above}{text}", str)

    def progress(self, *, quiet: bool) -> Any:
        """Return the progress display: a bar with ETA at a terminal, a line for each tenth elsewhere."""
        from ops.management import display

        return display.progress(self.stdout, quiet=quiet)


def verbs(parser: CommandParser) -> dict[str, CommandParser]:
    """Return the parsers of a command's verbs, none where it has none."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to its subparsers
        if isinstance(action, _SubParsersAction):
            return dict(action.choices)
    return {}


def add_database_option(parser: CommandParser, default: str | None = "default") -> None:
    """Add --database; without a default it means all of them."""
    parser.add_argument(
        "--database", type=alias, default=default, metavar="ALIAS", help="the database of settings.DATABASES"
    )


def held_by(database: str, job: str) -> str:
    """Say which reverts hold rows of a job, and how to lift that."""
    from django.db.models import Exists, OuterRef

    from ops.models import Hold, Run

    holds = Hold.objects.using(database).filter(run=OuterRef("pk"), job__startswith=job)
    runs = Run.objects.using(database).filter(Exists(holds), verb=Run.Verb.REVERT).order_by("pk")
    found = [str(pk) for pk in runs.values_list("pk", flat=True)]
    which = f"run {found[0]}" if len(found) == 1 else f"runs {', '.join(found)}"
    return (
        f"Held rows were taken back by {which}: 'manage.py runs lift {found[0] if len(found) == 1 else 'ID'}' lets "
        "the next run take them again."
    )
