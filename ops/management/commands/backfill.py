"""`manage.py backfill APP.MODEL.FIELD --value SQL-EXPRESSION [--where CONDITION]`."""

from ops.management.job_command import JobCommand


class Command(JobCommand):
    help = "Fill a column from an SQL expression, in batches: where it differs, once, revertibly."
    job = "ops.backfill"
    positional = ("field",)
