"""`manage.py reprice`."""

from ops.management.job_command import JobCommand


class Command(JobCommand):
    help = "Bring subscription prices in line with services, plans, promotions and quantities."
    job = "billing.reprice"
