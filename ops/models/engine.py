"""What the engine keeps in the target's database: runs, their windows and events, changesets, holds, rejects."""

from datetime import UTC, date

from django.contrib.postgres.fields import ArrayField
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import Q
from django.db.models.functions import Now


class Run(models.Model):
    """One recorded execution of a job: from its first moment, whoever started it, until its end."""

    class Verb(models.TextChoices):
        PLAN = "plan", "plan"
        APPLY = "apply", "apply"
        REVERT = "revert", "revert"

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        STOPPED = "stopped", "stopped, resumable"
        PAUSED = "paused", "paused, resumable"
        PLANNED = "planned", "planned"
        DONE = "done", "done"
        UNVERIFIED = "unverified", "done, unverified"
        REFUSED = "refused", "refused"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    class Wish(models.TextChoices):
        NONE = "", "none"
        PAUSE = "pause", "pause"
        CANCEL = "cancel", "cancel"

    UNFINISHED = (State.QUEUED, State.RUNNING, State.STOPPED, State.PAUSED)

    job = models.CharField(max_length=100)
    verb = models.CharField(max_length=10, choices=Verb)
    # Runs with the same scope exclude each other; jobs whose rows may overlap have one scope for all their runs.
    scope = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State)
    params = models.JSONField(default=dict)
    as_of = models.DateTimeField()
    # What the changesets' keys and values are of; so they can be read where the job is gone.
    target = models.CharField(max_length=200, default="")
    columns = ArrayField(models.TextField(), default=list)
    reverts = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="reverted_by")

    # The schedule that started it, and the instant at which that was due: a slot has one run, however often one asks.
    schedule = models.CharField(max_length=200, blank=True, default="", db_default="")
    slot = models.DateTimeField(null=True)
    # Where workers carry it: the queue of its messages, when the last was sent, and the Celery task that took it last.
    queue = models.CharField(max_length=50, blank=True, default="", db_default="")
    sent_at = models.DateTimeField(null=True)
    task_id = models.CharField(max_length=100, blank=True, default="", db_default="")

    sql_digest = models.CharField(max_length=64)
    # The digest of each statement by name; `Source` has their texts, to go on under them when the files have changed.
    statements = models.JSONField(default=dict)
    code_version = models.CharField(max_length=64)
    started_by = models.CharField(max_length=200)
    started_from = models.CharField(max_length=200)

    # How to carry it on, whoever does: guards, limits, verify (see engine/options.py).
    options = models.JSONField(default=dict)
    # Somebody said yes to writing, or --no-input: without that nobody else may carry it on.
    consent = models.BooleanField(default=False)
    # What an operator wants of a run that is being carried out; its hands look at each commit.
    wish = models.CharField(max_length=10, choices=Wish, default=Wish.NONE, blank=True)
    # Rows of a commit; none follows target_time, in milliseconds.
    batch_size = models.PositiveIntegerField(null=True)
    target_time = models.PositiveIntegerField(default=500)
    workers = models.PositiveSmallIntegerField(default=1)
    atomic = models.BooleanField(default=False)
    plan = models.JSONField(null=True)
    # The frontier: no window has been made of keys after it. high_water is the last key that the run will look at.
    cursor = models.JSONField(null=True)
    high_water = models.JSONField(null=True)
    batches = models.PositiveIntegerField(default=0)
    changed = models.BigIntegerField(default=0)
    left_alone = models.BigIntegerField(default=0)
    # What a load came to, by outcome, and the digest of its source.
    result = models.JSONField(null=True)

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
                condition=Q(state__in=["queued", "running", "stopped", "paused"]),
                name="ops_run_one_unfinished",
            ),
            models.UniqueConstraint(
                fields=["schedule", "slot"], condition=Q(slot__isnull=False), name="ops_run_one_for_slot"
            ),
        ]
        indexes = [
            models.Index(fields=["job", "-id"], name="ops_run_job"),
            models.Index(fields=["target", "-id"], name="ops_run_target"),
            # count_ended.sql: what ended since midnight, for /metrics.
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="ops_run_finished"),
            # The report `runs`.
            models.Index(fields=["created_at"], name="ops_run_created"),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk} ({self.job}, {self.state})"

    def calls(self, verb: str) -> str:
        """Return the command with which somebody at a shell does that to this run, in its database."""
        return f"manage.py runs {verb} {self.pk}{'' if self.alias == DEFAULT_DB_ALIAS else f' --database {self.alias}'}"

    @property
    def alias(self) -> str:
        """Return the alias of the database that it is in."""
        return self._state.db or DEFAULT_DB_ALIAS

    @property
    def month(self) -> date:
        """Return the first day of the month in which it was opened: the partition of its changesets."""
        return self.created_at.astimezone(UTC).date().replace(day=1)


class Window(models.Model):
    """A stretch of keys of a run that one hand carries, batch by batch; kept until the run ends.

    It has a fence and an owner of its own, so that a hand that was killed, or is late, is replaced without the others.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="windows")
    number = models.PositiveIntegerField()
    after = models.JSONField(null=True)
    upto = models.JSONField()
    slot = models.PositiveIntegerField(default=0)
    batches = models.PositiveIntegerField(default=0)
    changed = models.BigIntegerField(default=0)
    done = models.BooleanField(default=False)
    size = models.PositiveIntegerField(null=True)
    run_fence = models.BigIntegerField()
    fence = models.BigIntegerField(default=1)
    host = models.CharField(max_length=200)
    pid = models.IntegerField()
    backend_pid = models.IntegerField(null=True)
    backend_start = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="ops_window_number")]

    def __str__(self) -> str:
        return f"Window {self.number} of run {self.run_id}"


class RunEvent(models.Model):
    """What happened to a run, append-only: started, taken over, blocked, stopped, reverted."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(db_default=Now())
    what = models.CharField(max_length=30)
    who = models.CharField(max_length=200)
    detail = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.what}"


class Source(models.Model):
    """A statement's text as it was when a run began under it."""

    digest = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=200)
    text = models.TextField()

    def __str__(self) -> str:
        return self.name


class Changeset(models.Model):
    """The rows of one batch: keys, values before and after, as text, column after column (see engine/unpacking.py).

    One row a batch with arrays takes about 8 to 13 bytes a changed row; a row a row takes 60. The table is
    partitioned by the month in which the run was opened, so that old ones are dropped, not deleted.
    """

    class Kind(models.TextChoices):
        UPDATE = "update", "updated"
        INSERT = "insert", "inserted"
        DELETE = "delete", "deleted"

    month = models.DateField()
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="changesets", db_constraint=False)
    kind = models.CharField(max_length=6, choices=Kind, default=Kind.UPDATE, db_default=Kind.UPDATE)
    # A revert has no windows; its batches are those of window 0.
    window = models.PositiveIntegerField(default=0)
    batch = models.PositiveIntegerField()
    rows = models.PositiveIntegerField()
    slot_from = models.PositiveIntegerField()
    slot_upto = models.PositiveIntegerField()
    low = ArrayField(models.TextField())
    high = ArrayField(models.TextField())
    keys = ArrayField(models.TextField())
    before = ArrayField(models.TextField(null=True))
    after = ArrayField(models.TextField(null=True))
    # Of inserted rows: a hash of each as it was inserted, to see whether it is untouched before it is deleted again.
    digests = ArrayField(models.BigIntegerField(), null=True)
    # Of deleted rows: each whole, as JSON, to put it back.
    images = ArrayField(models.TextField(), null=True)
    committed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "window", "batch", "kind", "month"], name="ops_changeset_batch")
        ]

    def __str__(self) -> str:
        return f"Batch {self.window}/{self.batch} of run {self.run_id}"


class Hold(models.Model):
    """A row that a revert took back: sweeps leave it alone while the wanted values stay those it refused."""

    # The job's name, and its scope where runs of one job do not exclude each other.
    job = models.CharField(max_length=300)
    key = ArrayField(models.TextField())
    wanted = ArrayField(models.TextField(null=True))
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="holds")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "key"], name="ops_hold_one_per_row")]

    def __str__(self) -> str:
        return f"{self.job} {','.join(self.key)}"


class Reject(models.Model):
    """A record of a load's input that was refused: where it stands, what is wrong with it, and the record itself."""

    class Found(models.TextChoices):
        READ = "read", "when it was read"
        JUDGED = "judged", "when it was judged"
        MERGED = "merged", "when it was merged"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="rejects")
    found = models.CharField(max_length=6, choices=Found, default=Found.READ, db_default=Found.READ)
    line = models.BigIntegerField()
    column = models.TextField(blank=True, default="", db_default="")
    value = models.TextField(null=True)  # noqa: DJ001 - null is what the record has there, and differs from ''
    reason = models.TextField()
    # The record's own bytes where it could not be read; else its fields, those that were loaded.
    raw = models.BinaryField(null=True)
    fields = ArrayField(models.TextField(null=True), null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "line"], name="ops_reject_line")]

    def __str__(self) -> str:
        return f"Line {self.line} of run {self.run_id}: {self.reason}"


class Anomaly(models.Model):
    """Something odd that jobs have met, such as a missing rate or an unknown client: counted, a row for each."""

    kind = models.CharField(max_length=100)
    key = models.TextField()
    detail = models.TextField(blank=True, default="", db_default="")
    count = models.BigIntegerField(default=1, db_default=1)
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "anomalies"
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="ops_anomaly_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}: {self.count}"


class Schedule(models.Model):
    """How far a schedule's slots are settled, and what was declared and seen of it last.

    The row of django-celery-beat with the same name says when it is due, for there an operator edits it; the
    declaration in code says what is run.
    """

    name = models.CharField(max_length=200, primary_key=True)
    # What sync_schedules wrote into the row of beat; null for a schedule that it did not make.
    declared = models.JSONField(null=True)
    # When it was due by what was seen last, as text (see clock/slots.py); '' while it was switched off.
    rule = models.TextField(blank=True, default="", db_default="")
    # Slots up to and with this instant are settled: each has its run, or is among those missed.
    settled_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    # When a sweep last sent a message because a slot was overdue.
    sent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class MissedSlots(models.Model):
    """Slots of a schedule that have no run, and why: one row for each stretch."""

    schedule = models.CharField(max_length=200)
    first = models.DateTimeField()
    last = models.DateTimeField()
    count = models.PositiveIntegerField(default=1, db_default=1)
    reason = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "missed slots"
        constraints = [models.UniqueConstraint(fields=["schedule", "first"], name="ops_missedslots_once")]
        indexes = [models.Index(fields=["schedule", "-last"], name="ops_missedslots_schedule")]

    def __str__(self) -> str:
        return f"{self.schedule}: {self.count} missed"
