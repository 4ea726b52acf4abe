"""Windows that many hands claim, options and sources of a run, and changesets partitioned by month."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from ops.sql import for_migration


def name_targets(apps, schema_editor):
    """Write down what the changesets of earlier runs are of; only the code knew it."""
    from ops.engine import registry

    runs = apps.get_model("ops", "Run").objects.using(schema_editor.connection.alias)
    for name in runs.order_by().values_list("job", flat=True).distinct():
        if name in registry.names():
            job = registry.find(name)
            runs.filter(job=name).update(target=job.target._meta.label, columns=list(job.columns))


class Migration(migrations.Migration):
    dependencies = [("ops", "0001_initial")]

    operations = [
        migrations.AddField("run", "target", models.CharField(default="", max_length=200)),
        migrations.AddField(
            "run",
            "columns",
            django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None),
        ),
        migrations.AddField("run", "statements", models.JSONField(default=dict)),
        migrations.AddField("run", "options", models.JSONField(default=dict)),
        migrations.AddField("run", "consent", models.BooleanField(default=False)),
        migrations.AddField(
            "run",
            "wish",
            models.CharField(
                blank=True,
                choices=[("", "none"), ("pause", "pause"), ("cancel", "cancel")],
                default="",
                max_length=10,
            ),
        ),
        migrations.AddField("run", "target_time", models.PositiveIntegerField(default=500)),
        migrations.AddField("run", "workers", models.PositiveSmallIntegerField(default=1)),
        migrations.AlterField("run", "batch_size", models.PositiveIntegerField(null=True)),
        migrations.AlterField(
            "run",
            "state",
            models.CharField(
                choices=[
                    ("running", "running"),
                    ("stopped", "stopped, resumable"),
                    ("paused", "paused, resumable"),
                    ("planned", "planned"),
                    ("done", "done"),
                    ("unverified", "done, unverified"),
                    ("refused", "refused"),
                    ("failed", "failed"),
                    ("cancelled", "cancelled"),
                ],
                max_length=12,
            ),
        ),
        migrations.RemoveConstraint("run", "ops_run_one_unfinished"),
        migrations.AddConstraint(
            "run",
            models.UniqueConstraint(
                condition=models.Q(("state__in", ["running", "stopped", "paused"])),
                fields=("job", "scope"),
                name="ops_run_one_unfinished",
            ),
        ),
        migrations.AddIndex("run", models.Index(fields=["target", "-id"], name="ops_run_target")),
        migrations.AlterField("hold", "job", models.CharField(max_length=300)),
        migrations.CreateModel(
            name="Source",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=200)),
                ("text", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="Window",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("after", models.JSONField(null=True)),
                ("upto", models.JSONField()),
                ("slot", models.PositiveIntegerField(default=0)),
                ("batches", models.PositiveIntegerField(default=0)),
                ("changed", models.BigIntegerField(default=0)),
                ("done", models.BooleanField(default=False)),
                ("size", models.PositiveIntegerField(null=True)),
                ("run_fence", models.BigIntegerField()),
                ("fence", models.BigIntegerField(default=1)),
                ("host", models.CharField(max_length=200)),
                ("pid", models.IntegerField()),
                ("backend_pid", models.IntegerField(null=True)),
                ("backend_start", models.DateTimeField(null=True)),
                ("heartbeat_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="windows", to="ops.run"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            "window", models.UniqueConstraint(fields=("run", "number"), name="ops_window_number")
        ),
        # The index of the constraint would keep the name that the new table's constraint has.
        migrations.RemoveConstraint("changeset", "ops_changeset_batch"),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    for_migration(
                        "ops/rename_changesets.sql",
                        "ops/create_changeset_id.sql",
                        "ops/create_changesets.sql",
                        "ops/bind_changeset_id.sql",
                        "ops/create_open_month.sql",
                        "ops/create_drop_month.sql",
                        "ops/revoke_drop_month.sql",
                        "ops/create_append_only.sql",
                        "ops/create_event_trigger.sql",
                        "ops/open_months_kept.sql",
                        "ops/merge_changesets_kept.sql",
                        "ops/convert_runs.sql",
                        "ops/merge_windows_kept.sql",
                        "ops/drop_changesets_before.sql",
                    )
                )
            ],
            state_operations=[
                migrations.AddField("changeset", "month", models.DateField()),
                migrations.AlterField(
                    "changeset",
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="changesets",
                        to="ops.run",
                    ),
                ),
                migrations.AddField("changeset", "window", models.PositiveIntegerField(default=0)),
                migrations.AlterField("changeset", "slot_from", models.PositiveIntegerField()),
                migrations.AlterField("changeset", "slot_upto", models.PositiveIntegerField()),
                migrations.AddConstraint(
                    "changeset",
                    models.UniqueConstraint(fields=("run", "window", "batch", "month"), name="ops_changeset_batch"),
                ),
            ],
        ),
        migrations.RunPython(name_targets, migrations.RunPython.noop),
    ]
