"""The command of a load: the options of every job, and what came of each record."""

from argparse import SUPPRESS
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser

from ops.management.engine_command import FOUND, REFUSED, USAGE
from ops.management.job_command import JobCommand

if TYPE_CHECKING:
    from ops.engine.jobs import Job
    from ops.engine.plan import Plan


MEANINGLESS = ("as_of", "exact", "max_change", "max_row_change")
"""Options of every job that mean nothing for a load; they are refused, or have no effect."""


class LoadCommand(JobCommand):
    """A command that loads a file; its subclasses may say more of it."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--rejects", metavar="PATH", help="write the bad records to a new file, to be mended and loaded"
        )

        for action in parser._actions:  # noqa: SLF001 - argparse has no public way to its options
            if action.dest in MEANINGLESS:
                action.help = SUPPRESS

    def carry_out(self, job: "Job", options: dict[str, Any]) -> None:
        file = options.get("file", "-")
        if file != "-" and (not Path(file).exists() or Path(file).is_dir()):
            what = "is a directory" if Path(file).is_dir() else "is not there"
            raise CommandError(f"{file} {what}: give the path of a file, or - for standard input.", returncode=USAGE)
        if options["as_of"]:
            raise CommandError("A load is as of now: leave --as-of out.", returncode=USAGE)
        if options["rejects"] and options.get("mask"):
            raise CommandError(
                "A file of bad records would lack what --mask hides: leave --rejects out; 'runs rejects' lists them.",
                returncode=USAGE,
            )
        if options["rejects"] and Path(options["rejects"]).exists():
            raise CommandError(f"{options['rejects']} is there already: give --rejects a new file.", returncode=USAGE)
        if options["enqueue"] and options["rejects"]:
            raise CommandError(
                "A worker has no place for --rejects: leave it out; 'runs rejects ID --output PATH' writes them later.",
                returncode=USAGE,
            )
        if options["enqueue"] and file != "-":
            options["file"] = str(Path(file).resolve())  # a worker stands in another directory
        options["atomic"] = options["atomic"] or options["strict"]
        super().carry_out(job, options)

    def finished(self, record: Any, options: dict[str, Any]) -> None:
        """Write the bad records to a file, where that was asked for."""
        if options["rejects"]:
            from ops.load import rejects

            written = rejects.write(record, options["rejects"])
            if written and not options["json"]:
                self.note(rejects.told(written, options["rejects"]))

    def show_written(self, record: Any, found: "Plan", job: "Job", options: dict[str, Any]) -> None:
        """Print what came of each record; the plan was shown before, unless there was nothing to ask."""
        from ops.management import display, load_display

        document = found.as_json()
        if not found.changes:
            self.show_plan(found, job.name, options["database"])
        proof = " Compared again: 0 rows differ." if getattr(found, "verified", False) else ""
        batches = display.count(record.batches, "batch")
        self.stdout.write(
            f"Run {record.pk}: {display.count(document['lines'], 'record')} in {batches}: "
            f"{load_display.told(document)}.{proof}"
        )
        if options["verify"] and not proof:
            self.stdout.write("Not compared again: an expression adds to what is there, so all would differ.")
        if document["rejected"] and not options["rejects"]:
            self.stdout.write(
                f"'{record.calls('rejects')} --output PATH' writes the bad records to a file that can be mended and "
                "loaded."
            )

    def judge(self, found: "Plan", guards: Any, job: "Job", *, check: bool) -> None:
        """Say what a load of this plan would be refused for; with --check by exit code, as for rows that differ."""
        from ops.management import display

        refusal = getattr(found, "refusal", "")
        if refusal and check:
            raise CommandError(refusal, returncode=REFUSED)
        if refusal:
            self.stderr.write(f"A load of this plan would be refused. {refusal}")
            return
        super().judge(found, guards, job, check=False)
        if check and found.changes:
            rows = display.count(found.changes, "row")
            raise CommandError(f"{rows} would change: the same command without --check mends that.", returncode=FOUND)
