"""What reports are kept by: their saved results and rollups; and the versions of tables that cached values name."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import CompositePrimaryKey
from django.db.models.functions import Now

from ops.models.engine import Run


class ReportResult(models.Model):
    """What a report came to in one window as of one instant: a row for each group, and one for the total ({})."""

    report = models.CharField(max_length=100)
    window = models.CharField(max_length=60)
    as_of = models.DateTimeField()
    # What the report was restricted to, and which group this is of: both {} where there is none.
    filters = models.JSONField(default=dict)
    group = models.JSONField(default=dict)
    # Half-open; null where the report has no such edge.
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    # A number is a text where a float would lose digits.
    values = models.JSONField()
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="+")
    saved_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["report", "window", "as_of", "filters", "group"], name="ops_reportresult_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.report}, {self.window} as of {self.as_of:%Y-%m-%d %H:%M %Z}"


class Rollup(models.Model):
    """A report whose sums are kept by the bucket: by which definition, and whether all of them have been built."""

    report = models.CharField(max_length=100, primary_key=True)
    digest = models.CharField(max_length=64)
    grain = models.CharField(max_length=10)
    zone = models.CharField(max_length=64)
    built_at = models.DateTimeField(null=True)
    refreshed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.report} by the {self.grain} in {self.zone}"


class RollupRow(models.Model):
    """The sums of one group in one bucket; a bucket begins at this instant and lasts for the rollup's grain."""

    pk = CompositePrimaryKey("report", "bucket", "group")
    report = models.CharField(max_length=100)
    bucket = models.DateTimeField()
    group = models.JSONField(default=dict)
    values = ArrayField(models.DecimalField(max_digits=1000, decimal_places=20, null=True))

    def __str__(self) -> str:
        return f"{self.report} from {self.bucket:%Y-%m-%d %H:%M %Z}"


class RollupTouched(models.Model):
    """A bucket whose source rows were written since it was last computed (null: any); written by triggers."""

    report = models.CharField(max_length=100)
    bucket = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["report", "bucket"], name="ops_rolluptouched_bucket")]

    def __str__(self) -> str:
        return f"{self.report}: {self.bucket}"


class TableVersion(models.Model):
    """One stripe of a table's version, which a trigger moves with each transaction that writes to the table.

    The version of a table is the sum over its stripes: a number is drawn from a sequence, so none comes twice.
    """

    pk = CompositePrimaryKey("name", "slot")
    name = models.CharField(max_length=200)
    slot = models.PositiveSmallIntegerField()
    version = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.name}/{self.slot}: {self.version}"


class TagVersion(models.Model):
    """A write to the rows of a table that have one tag, such as a partner's; the tag's version is the sum of these."""

    name = models.CharField(max_length=200)
    tag = models.CharField(max_length=200)
    version = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["name", "tag"], include=["version"], name="ops_tagversion_tag")]

    def __str__(self) -> str:
        return f"{self.name} {self.tag}: {self.version}"
