"""What all commands that carry a job share: options, the question before writing, progress, output, exit codes.

Exit codes: 0 done; 1 failed (an error, no server, done but unverified); 2 usage; 3 refused (a guard, another owner,
declined); 4 stopped and resumable; 5 `--check` found something to do.
"""

import json
import signal
import sys
import threading
from argparse import ArgumentTypeError, _SubParsersAction
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from django import forms
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ops import clock

if TYPE_CHECKING:
    # At run time only where a command runs: `--help` needs no engine.
    from ops.engine.jobs import Reconcile
    from ops.engine.plan import Plan

FAILED, USAGE, REFUSED, STOPPED, FOUND = 1, 2, 3, 4, 5


def instant(text: str) -> datetime:
    """Read --as-of for argparse."""
    try:
        return clock.parse_instant(text)
    except ValueError as exc:
        raise ArgumentTypeError(str(exc)) from exc


def positive(text: str) -> int:
    """Read a whole number of at least 1 for argparse."""
    if not text.isdecimal() or int(text) < 1:
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

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser; Django gives no other way to choose its class."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        for each in (parser, *verbs(parser).values()):
            each.__class__ = _Parser
        return parser

    def interactive(self) -> bool:
        """Tell whether somebody can be asked."""
        return sys.stdin is not None and sys.stdin.isatty() and self.stdout.isatty()

    @contextmanager
    def outcome(self) -> Iterator[None]:
        """Turn the engine's exceptions into CommandError with their exit code."""
        from django.db import Error

        from ops.engine import jobs, owner, parameters, plan, run, session

        codes: dict[type[Exception], int] = {
            parameters.BadParameters: USAGE,
            jobs.UnknownJob: USAGE,
            plan.Refused: REFUSED,
            run.Declined: REFUSED,
            owner.Taken: REFUSED,
            run.Stopped: STOPPED,
            run.Failed: FAILED,
            session.DatabaseTrouble: FAILED,
        }
        try:
            yield
        except tuple(codes) as exc:
            raise CommandError(str(exc), returncode=codes[type(exc)]) from exc
        except Error as exc:
            raise CommandError(str(session.in_words(exc, "The command")), returncode=FAILED) from exc
        except KeyboardInterrupt as exc:
            raise CommandError(
                "Interrupted: what was committed stays; 'manage.py runs list' shows whether a run is unfinished.",
                returncode=STOPPED,
            ) from exc

    @contextmanager
    def interruptible(self) -> Iterator[threading.Event]:
        """Let the first Ctrl-C (or TERM) ask for a stop after the batch; the second leaves at once."""
        stop = self._stop = threading.Event()
        if threading.current_thread() is not threading.main_thread():
            yield stop
            return

        def ask(signum: int, frame: object) -> None:
            if self._asking or stop.is_set():
                raise KeyboardInterrupt
            stop.set()
            self.stderr.write("Stopping after this batch; once more leaves at once (nothing is lost either way).")

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

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

    def show_plan(self, found: "Plan", job: "Reconcile", database: str) -> None:
        """Print a plan, and whose holds it respects."""
        from ops.engine import jobs
        from ops.management import display

        rows, labels = jobs.words(job.name)
        self.stdout.write(display.plan(found.as_json(), rows=rows, labels=labels, terminal=self.stdout.isatty()))
        if found.held:
            self.stdout.write(f"\n{held_by(database, job)}")
        self.stdout.write("")

    def confirming(self, job: "Reconcile", options: dict[str, Any]) -> "Callable[[Plan], bool]":
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

    def progress(self, *, quiet: bool) -> Any:
        """Return the progress display: a bar with ETA at a terminal, a line for each tenth elsewhere."""
        from ops.management import display

        return display.progress(self.stdout, quiet=quiet)


class JobCommand(EngineCommand):
    """A job's own command: its form's fields are options, beside those that mean the same everywhere."""

    job: ClassVar[str]
    requires_migrations_checks = False

    @property
    def name(self) -> str:
        """Return the command's name, which is its module's."""
        return type(self).__module__.rpartition(".")[2]

    def add_arguments(self, parser: CommandParser) -> None:
        from ops.engine import jobs

        for name, field in jobs.find(self.job).params.base_fields.items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(field, forms.BooleanField):
                parser.add_argument(option, action="store_true", help=str(field.help_text))
            else:
                parser.add_argument(
                    option, action="append", default=[], metavar=name.upper(), help=f"{field.help_text}; repeatable"
                )
        add_run_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.engine import jobs, parameters, plan, run

        job = jobs.find(self.job)
        quiet = options["json"]
        writes = not (options["dry_run"] or options["check"] or options["show_sql"] or options["explain"])
        if writes:
            self.must_not_guess(no_input=options["no_input"], quiet=quiet)
        with self.outcome(), self.interruptible() as stop, self.progress(quiet=quiet) as progress:
            given = {name: options[name] for name in job.params.base_fields}
            params = parameters.clean(job.params, given, options["database"])
            settings = run.Options(
                database=options["database"],
                batch_size=options["batch_size"],
                lock_timeout=options["lock_timeout"],
                atomic=options["atomic"],
                verify=options["verify"],
                guards=plan.Guards(options["max_rows"], options["max_change"], options["max_row_change"]),
                confirm=self.confirming(job, options),
                progress=progress,
                note=self.stderr.write,
                stop=stop,
                started_from=f"manage.py {self.name}",
            )
            if options["show_sql"] or options["explain"]:
                self.stdout.write(run.statements(job, params, settings, options["as_of"], explain=options["explain"]))
                return
            try:
                work = run.apply if writes else run.plan_only
                record, found = work(job, params, settings, options["as_of"])
            except plan.Refused as exc:
                if exc.plan is not None:
                    self.show_refused(exc.plan, job, options)
                raise
        if quiet:
            document = {"run": record.pk, "job": job.name, "state": record.state, "changed": record.changed}
            self.print_json({**document, **found.as_json()})
        elif not writes:
            self.show_plan(found, job, options["database"])
            self.stdout.write(f"Run {record.pk}: planned, nothing was written.")
        else:
            self.show_written(record, found, job, options)
        if not writes:
            self.judge(found, settings.guards, job, check=options["check"])

    def show_refused(self, found: "Plan", job: "Reconcile", options: dict[str, Any]) -> None:
        """Print the plan that was refused; the sentence that says why comes after it."""
        if options["json"]:
            self.print_json({"run": None, "job": job.name, "state": "refused", "changed": 0, **found.as_json()})
        else:
            self.show_plan(found, job, options["database"])

    def show_written(self, record: Any, found: "Plan", job: "Reconcile", options: dict[str, Any]) -> None:
        """Print what an apply has done; its plan was shown before it, unless there was nothing to ask."""
        from ops.management import display

        if not found.changes:
            self.show_plan(found, job, options["database"])
        if not record.changed:
            self.stdout.write(f"Run {record.pk}: done, nothing differs.")
            return
        proof = " Planned again: 0 rows differ." if options["verify"] and found.changes else ""
        self.stdout.write(
            f"Run {record.pk}: {display.count(record.changed, 'row')} written "
            f"in {display.count(record.batches, 'batch')}.{proof}"
        )

    def judge(self, found: "Plan", guards: Any, job: "Reconcile", *, check: bool) -> None:
        """Say what a run of this plan would be refused for; with --check by exit code, as for rows that differ."""
        from ops.engine import plan

        try:
            plan.guard(found, guards, job)
        except plan.Refused as exc:
            if not check:
                self.stderr.write(f"A run of this plan would be refused. {exc}")
                return
            raise CommandError(str(exc), returncode=REFUSED) from exc
        if check and found.changes:
            from ops.management import display

            rows = display.count(found.changes, "row")
            raise CommandError(f"{rows} would change: 'manage.py {self.name}' mends that.", returncode=FOUND)


def held_by(database: str, job: "Reconcile") -> str:
    """Say which reverts hold rows of a job, and how to lift that."""
    from django.db.models import Exists, OuterRef

    from ops.models import Hold, Run

    holds = Hold.objects.using(database).filter(run=OuterRef("pk"), job=job.name)
    runs = Run.objects.using(database).filter(Exists(holds), verb=Run.Verb.REVERT).order_by("pk")
    found = [str(pk) for pk in runs.values_list("pk", flat=True)]
    which = f"run {found[0]}" if len(found) == 1 else f"runs {', '.join(found)}"
    return (
        f"Held rows were taken back by {which}: 'manage.py runs lift {found[0] if len(found) == 1 else 'ID'}' lets "
        "the next run take them again."
    )


def verbs(parser: CommandParser) -> dict[str, CommandParser]:
    """Return the parsers of a command's verbs, none where it has none."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to its subparsers
        if isinstance(action, _SubParsersAction):
            return dict(action.choices)
    return {}


def add_database_option(parser: CommandParser) -> None:
    """Add --database."""
    parser.add_argument(
        "--database", type=alias, default="default", metavar="ALIAS", help="the database of settings.DATABASES"
    )


def add_run_options(parser: CommandParser) -> None:
    """Add the options that mean the same for every job."""
    parser.add_argument("--as-of", type=instant, metavar="INSTANT", help="the instant that counts (plans: any instant)")
    parser.add_argument("--dry-run", action="store_true", help="plan only")
    parser.add_argument("--check", action="store_true", help="plan only; exit 5 if anything would change")
    parser.add_argument("--no-input", action="store_true", help="do not ask")
    add_database_option(parser)
    parser.add_argument("--batch-size", type=positive, default=25_000, metavar="ROWS", help="rows of one commit")
    parser.add_argument("--lock-timeout", type=positive, default=2_000, metavar="MS", help="longest wait for a lock")
    parser.add_argument("--max-rows", type=positive, metavar="ROWS", help="refuse if more rows would change")
    parser.add_argument("--max-change", type=percent, metavar="PERCENT", help="refuse if a currency's sum moves more")
    parser.add_argument("--max-row-change", type=percent, metavar="PERCENT", help="refuse if one row moves more")
    parser.add_argument("--atomic", action="store_true", help="all or nothing, in one transaction")
    parser.add_argument("--verify", action="store_true", help="plan again afterwards: 0 rows may differ")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--show-sql", action="store_true", help="print the statements, run nothing")
    parser.add_argument(
        "--explain", action="store_true", help="print the plan of the statement that reads, write nothing"
    )


def add_verb_options(parser: CommandParser, verb: str) -> None:
    """Add the arguments of one verb of `runs`."""
    if verb == "history":
        parser.add_argument("model", metavar="APP.MODEL")
        parser.add_argument(
            "key", nargs="+", metavar="PK", help="the primary key; several values where it is composite"
        )
    elif verb == "list":
        parser.add_argument("--job", help="only runs of this job")
        parser.add_argument("--limit", type=positive, default=20, metavar="N")
    else:
        parser.add_argument("run", type=positive, metavar="ID")
    if verb == "revert":
        parser.add_argument("--dry-run", action="store_true", help="plan only")
    if verb in ("revert", "resume"):
        parser.add_argument("--no-input", action="store_true", help="do not ask")
        parser.add_argument(
            "--lock-timeout", type=positive, default=2_000, metavar="MS", help="longest wait for a lock"
        )
    add_database_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
