"""`manage.py run_job NAME [--parameter value ..]`: plan or apply any registered job."""

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from ops.management.job_command import JobCommand, add_job_options

if TYPE_CHECKING:
    from ops.engine.jobs import Job


class Command(JobCommand):
    help = "Plan or apply a job by its name; 'manage.py jobs' lists them."

    def add_arguments(self, parser: CommandParser) -> None:
        from ops.engine import registry

        jobs = parser.add_subparsers(dest="job", metavar="NAME", required=True)
        for name in registry.names():
            job = registry.find(name)
            words = (job.__doc__ or "").strip().partition("\n")[0]
            add_job_options(jobs.add_parser(name, help=words.replace("%", "%%"), description=words), job)

    def called(self, job: "Job") -> str:
        return f"manage.py run_job {job.name}"

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.engine import registry

        with self.outcome():
            job = registry.find(options["job"])
        self.carry_out(job, options)
