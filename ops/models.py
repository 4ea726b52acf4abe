"""What the engine keeps in the target's database: runs, their events, changesets and holds."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Run(models.Model):
    """One recorded execution of a job: from its first moment, whoever started it, until its end."""

    class Verb(models.TextChoices):
        PLAN = "plan", "plan"
        APPLY = "apply", "apply"
        REVERT = "revert", "revert"

    class State(models.TextChoices):
        RUNNING = "running", "running"
        STOPPED = "stopped", "stopped, resumable"
        PLANNED = "planned", "planned"
        DONE = "done", "done"
        UNVERIFIED = "unverified", "done, unverified"
        REFUSED = "refused", "refused"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    UNFINISHED = (State.RUNNING, State.STOPPED)

    job = models.CharField(max_length=100)
    verb = models.CharField(max_length=10, choices=Verb)
    # Runs with the same scope exclude each other; jobs whose rows may overlap have one scope for all their runs.
    scope = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State)
    params = models.JSONField(default=dict)
    as_of = models.DateTimeField()
    reverts = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="reverted_by")

    sql_digest = models.CharField(max_length=64)
    code_version = models.CharField(max_length=64)
    started_by = models.CharField(max_length=200)
    started_from = models.CharField(max_length=200)

    batch_size = models.PositiveIntegerField()
    atomic = models.BooleanField(default=False)
    plan = models.JSONField(null=True)
    cursor = models.JSONField(null=True)
    high_water = models.JSONField(null=True)
    batches = models.PositiveIntegerField(default=0)
    changed = models.BigIntegerField(default=0)
    left_alone = models.BigIntegerField(default=0)

    # The present owner. The fence grows with every owner; a late owner's writes fail on it.
    fence = models.BigIntegerField(default=1)
    owner_host = models.CharField(max_length=200, blank=True)
    owner_pid = models.IntegerField(null=True)
    backend_pid = models.IntegerField(null=True)
    backend_start = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)

    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    message = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job", "scope"],
                condition=Q(state__in=["running", "stopped"]),
                name="ops_run_one_unfinished",
            ),
        ]
        indexes = [
            models.Index(fields=["job", "-id"], name="ops_run_job"),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk} ({self.job}, {self.state})"


class RunEvent(models.Model):
    """What happened to a run, append-only: started, taken over, blocked, stopped, reverted."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(db_default=Now())
    what = models.CharField(max_length=30)
    who = models.CharField(max_length=200)
    detail = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.what}"


class Changeset(models.Model):
    """The rows of one batch: keys, values before and after, as text, column after column (see engine/changeset.py).

    One row a batch with arrays takes about 8 to 13 bytes a changed row; a row a row takes 60.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="changesets")
    batch = models.PositiveIntegerField()
    rows = models.PositiveIntegerField()
    slot_from = models.PositiveSmallIntegerField()
    slot_upto = models.PositiveSmallIntegerField()
    low = ArrayField(models.TextField())
    high = ArrayField(models.TextField())
    keys = ArrayField(models.TextField())
    before = ArrayField(models.TextField(null=True))
    after = ArrayField(models.TextField(null=True))
    committed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "batch"], name="ops_changeset_batch")]

    def __str__(self) -> str:
        return f"Batch {self.batch} of run {self.run_id}"


class Hold(models.Model):
    """A row that a revert took back: sweeps leave it alone while the wanted values stay those it refused."""

    job = models.CharField(max_length=100)
    key = ArrayField(models.TextField())
    wanted = ArrayField(models.TextField(null=True))
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="holds")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "key"], name="ops_hold_one_per_row")]

    def __str__(self) -> str:
        return f"{self.job} {','.join(self.key)}"
