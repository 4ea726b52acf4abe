"""What the commands that carry a job out share: a job's parameters as options, and options that mean the same."""

from argparse import BooleanOptionalAction
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.management.base import CommandError, CommandParser

from ops.engine.parameters import NamedRows, Words
from ops.management import enqueueing
from ops.management.engine_command import (
    FOUND,
    REFUSED,
    USAGE,
    EngineCommand,
    add_database_option,
    instant,
    of_any_size,
    percent,
    positive,
)

if TYPE_CHECKING:
    from ops.engine.jobs import Job
    from ops.engine.plan import Plan


class JobCommand(EngineCommand):
    """A job's own command: its form's fields are options, beside those that mean the same everywhere.

    `positional` names fields that are given without an option's name.
    """

    job: ClassVar[str]
    positional: ClassVar[tuple[str, ...]] = ()
    requires_migrations_checks = False

    def called(self, job: "Job") -> str:
        """Return how this command is called for a job, which by default has a command of its own."""
        return f"manage.py {type(self).__module__.rpartition('.')[2]}"

    def add_arguments(self, parser: CommandParser) -> None:
        from ops.engine import registry

        add_job_options(parser, registry.find(self.job), self.positional)

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.engine import registry

        self.carry_out(registry.find(self.job), options)

    def carry_out(self, job: "Job", options: dict[str, Any]) -> None:
        """Plan or apply the job, as the options say, and print what came of it."""
        from ops.engine import parameters, plan, run

        quiet = options["json"]
        enqueueing.check(options)
        writes = not (options["dry_run"] or options["check"] or options["show_sql"] or options["explain"])
        if writes:
            self.must_not_guess(no_input=options["no_input"], quiet=quiet)
        if options["verify"] and not job.verifies:
            raise CommandError(
                f"{job.name} has a statement of its own, so there is nothing to plan again: leave --verify out (its "
                "post-checks are executed anyway).",
                returncode=USAGE,
            )
        if job.money is None and (options["max_change"] is not None or options["max_row_change"] is not None):
            raise CommandError(
                f"{job.name} counts no money, so --max-change and --max-row-change would guard nothing: bound the "
                "rows by --max-rows, or declare the job's money.",
                returncode=USAGE,
            )
        database = options["database"]
        with self.outcome(), self.interruptible(database) as stop, self.progress(quiet=quiet) as progress:
            params = parameters.clean(job.params, given_of(job, options), database)
            settings = run.Options(
                database=database,
                batch_size=options["batch_size"],
                target_time=options["target_time"],
                workers=options["workers"],
                lock_timeout=options["lock_timeout"],
                atomic=options["atomic"],
                verify=options["verify"],
                exact=options["exact"],
                guards=plan.Guards(options["max_rows"], options["max_change"], options["max_row_change"]),
                confirm=self.confirming(job.name, options),
                agreed=options["no_input"],
                progress=progress,
                note=self.note,
                stop=stop,
                leave=self.leave,
                started_from=self.called(job),
            )
            if options["show_sql"] or options["explain"]:
                self.stdout.write(run.statements(job, params, settings, options["as_of"], explain=options["explain"]))
                return
            if options["enqueue"]:
                enqueueing.enqueue(self, job, params, settings, options)
                return
            try:
                work = run.apply if writes else run.plan_only
                record, found = work(job, params, settings, options["as_of"])
            except plan.Refused as exc:
                if exc.plan is not None:
                    self.show_refused(exc.plan, job, options, exc.run)
                raise
        if quiet:
            document = {"run": record.pk, "job": job.name, "state": record.state, "changed": record.changed}
            self.print_json({**document, **found.as_json()})
        elif not writes:
            self.show_plan(found, job.name, options["database"])
            self.stdout.write(f"Run {record.pk}: planned, nothing was written.")
        else:
            self.show_written(record, found, job, options)
        with self.outcome():
            self.finished(record, options)
        if not writes:
            self.judge(found, settings.guards, job, check=options["check"])

    def finished(self, record: Any, options: dict[str, Any]) -> None:
        """Do what the command has to do with a run that is planned or done, once it is shown."""

    def show_refused(self, found: "Plan", job: "Job", options: dict[str, Any], run: int | None) -> None:
        """Print the plan that was refused; the sentence that says why comes after it."""
        if options["json"]:
            self.print_json({"run": run, "job": job.name, "state": "refused", "changed": 0, **found.as_json()})
        else:
            self.show_plan(found, job.name, options["database"])

    def show_written(self, record: Any, found: "Plan", job: "Job", options: dict[str, Any]) -> None:
        """Print what an apply has done; its plan was shown before it, unless there was nothing to ask."""
        from ops.management import display

        if not found.changes:
            self.show_plan(found, job.name, options["database"])
        if not record.changed:
            self.stdout.write(f"Run {record.pk}: done, nothing differs.")
            return
        proof = " Planned again: 0 rows differ." if options["verify"] and found.changes else ""
        self.stdout.write(
            f"Run {record.pk}: {display.count(record.changed, 'row')} written "
            f"in {display.count(record.batches, 'batch')}.{proof}"
        )

    def judge(self, found: "Plan", guards: Any, job: "Job", *, check: bool) -> None:
        """Say what a run of this plan would be refused for; with --check by exit code, as for rows that differ."""
        from ops.engine import plan, registry

        try:
            plan.guard(found, guards, registry.words(job.name)[0])
        except plan.Refused as exc:
            if not check:
                self.stderr.write(f"A run of this plan would be refused. {exc}")
                return
            raise CommandError(str(exc), returncode=REFUSED) from exc
        if check and found.changes:
            from ops.management import display

            rows = display.count(found.changes, "row")
            raise CommandError(f"{rows} would change: '{self.called(job)}' mends that.", returncode=FOUND)


def add_job_options(parser: CommandParser, job: "Job", positional: tuple[str, ...] = ()) -> None:
    """Add a job's parameters, and the options that mean the same for every job."""
    for name, field in job.params.base_fields.items():
        # argparse expands percent signs.
        words: dict[str, Any] = {"help": str(field.help_text or field.label or "").replace("%", "%%")}
        if isinstance(field, forms.BooleanField):
            # One that is on from the start is switched off by --no-<name>.
            words["action"] = BooleanOptionalAction if field.initial else "store_true"
            words["default"] = bool(field.initial)
        elif isinstance(field, NamedRows | Words | forms.MultipleChoiceField | forms.ModelMultipleChoiceField):
            words |= {
                "action": "append",
                "metavar": name.upper(),
                "help": f"{words['help']}{_values(field)}; repeatable",
            }
            words["required"] = field.required and field.initial is None
        else:
            words |= {"metavar": name.upper(), "help": f"{words['help']}{_values(field)}"}
            if name in positional:
                parser.add_argument(name, **words)
                continue
            words["required"] = field.required and field.initial is None
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, **words)
    add_run_options(parser)


def given_of(job: "Job", options: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that were given, and what the form begins with where none was."""
    given = {}
    for name, field in job.params.base_fields.items():
        value = options[name]
        if value is None:
            value = field.initial() if callable(field.initial) else field.initial
        if value is not None:
            given[name] = value
    return given


def _values(field: forms.Field) -> str:
    """Return the values that a field with choices takes, and what counts where none is given."""
    values = [str(value) for value, _ in getattr(field, "choices", ()) if value != ""] if _few(field) else []
    said = f" ({', '.join(values)})" if values else ""
    if field.initial is not None and not callable(field.initial):
        said += f" [{field.initial}]"
    return said.replace("%", "%%")


def _few(field: forms.Field) -> bool:
    # Choices that come from the database are not read for a help text.
    return isinstance(field, forms.ChoiceField) and not isinstance(field, forms.ModelChoiceField)


def add_run_options(parser: CommandParser) -> None:
    """Add the options that mean the same for every job."""
    parser.add_argument("--as-of", type=instant, metavar="INSTANT", help="the instant that counts (plans: any instant)")
    parser.add_argument("--dry-run", action="store_true", help="plan only")
    parser.add_argument("--check", action="store_true", help="plan only; exit 5 if anything would change")
    parser.add_argument("--no-input", action="store_true", help="do not ask")
    add_database_option(parser)
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="processes that share the work")
    parser.add_argument(
        "--target-time", type=positive, default=500, metavar="MS", help="how long a batch is to take; sets its size"
    )
    parser.add_argument("--batch-size", type=positive, metavar="ROWS", help="rows of one commit, instead")
    parser.add_argument("--lock-timeout", type=positive, default=2_000, metavar="MS", help="longest wait for a lock")
    parser.add_argument("--max-rows", type=of_any_size, metavar="ROWS", help="refuse if more rows would change")
    parser.add_argument("--max-change", type=percent, metavar="PERCENT", help="refuse if a currency's sum moves more")
    parser.add_argument("--max-row-change", type=percent, metavar="PERCENT", help="refuse if one row moves more")
    enqueueing.add_options(parser)
    parser.add_argument("--atomic", action="store_true", help="all or nothing, in one transaction")
    parser.add_argument("--verify", action="store_true", help="plan again afterwards: 0 rows may differ")
    parser.add_argument("--exact", action="store_true", help="count a large table's plan instead of a sample of it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--show-sql", action="store_true", help="print the statements, run nothing")
    parser.add_argument(
        "--explain", action="store_true", help="print the plan of the statement that reads, write nothing"
    )
