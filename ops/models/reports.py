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
    # A number is a text where a float would lose digits; kinds says of what such a text is: decimal, int, float, ..
    values = models.JSONField()
    kinds = models.JSONField(default=dict)
    # SHA-256 of filters and group: an index on themselves would refuse long ones.
    digest = models.CharField(max_length=64)
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="+")
    saved_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["report", "window", "as_of", "digest"], name="ops_reportresult_once")
        ]

    def __str__(self) -> str:
        return f"{self.report}, {self.window} as of {self.as_of:%Y-%m-%d %H:%M %Z}"


class Rollup(models.Model):
    """A report whose sums are kept by the bucket: by which definition, of which tables, and whether all were built."""

    report = models.CharField(max_length=100, primary_key=True)
    # Of everything that decides what is kept; another one in the code means that nothing kept can be used.
    digest = models.CharField(max_length=64)
    # The table, with its schema and quoted, and the column by which its rows fall into buckets.
    source = models.CharField(max_length=200)
    time_column = models.CharField(max_length=63)
    grain = models.CharField(max_length=10)
    zone = models.CharField(max_length=64)
    # The function of the triggers that note which buckets were touched, and the tables that have them: partitions, too.
    touch = models.CharField(max_length=63)
    tables = ArrayField(models.TextField())
    # Their files: another one means that a table was rewritten, and values may have changed that no trigger saw.
    files = ArrayField(models.BigIntegerField())
    # The types of the columns that the expressions name, of the groups and of the sums.
    columns = models.JSONField(default=dict)
    types = ArrayField(models.TextField(), default=list)
    built_at = models.DateTimeField(null=True)
    refreshed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.report} by the {self.grain} in {self.zone}"


class RollupRow(models.Model):
    """The sums of one group in one bucket, as texts of the types that `Rollup.types` names.

    Level 0 tells the report's groups apart, level 1 also what it is filtered by.
    """

    pk = CompositePrimaryKey("report", "level", "bucket", "key")
    report = models.CharField(max_length=100)
    level = models.PositiveSmallIntegerField()
    bucket = models.DateTimeField()
    # The SHA-256 of the groups: an index holds no text of any length.
    key = models.BinaryField()
    groups = ArrayField(models.TextField(null=True))
    sums = ArrayField(models.TextField(null=True))

    def __str__(self) -> str:
        return f"{self.report} from {self.bucket:%Y-%m-%d %H:%M %Z}"


class RollupTouched(models.Model):
    """A bucket whose source rows were written since it was last computed (null: all of them); written by triggers."""

    report = models.CharField(max_length=100)
    bucket = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "touched buckets"
        indexes = [models.Index(fields=["report", "bucket"], name="ops_rolluptouched_bucket")]

    def __str__(self) -> str:
        return f"{self.report}: {self.bucket or 'all'}"


class TableVersion(models.Model):
    """One stripe of a table's version, which a trigger moves with each transaction that writes to the table.

    The version of a table is the sum over its stripes. Those below 16 are rewritten, with numbers of a sequence; more
    ones are added, and merged again, where a writer may not rewrite any. The row named "*" moves all versions at once.
    """

    pk = CompositePrimaryKey("name", "slot")
    name = models.CharField(max_length=200)
    slot = models.BigIntegerField()
    version = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.name}/{self.slot}: {self.version}"


class TagVersion(models.Model):
    """Writes to the rows of a table that have one tag, such as a partner's, or any ("*"); their sum is its version."""

    name = models.CharField(max_length=200)
    tag = models.CharField(max_length=200)
    version = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["name", "tag"], include=["version"], name="ops_tagversion_tag")]

    def __str__(self) -> str:
        return f"{self.name} {self.tag}: {self.version}"
