"""Loads: what they came to, the rows they inserted, their rejects and staging tables; and anomalies."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from ops.sql import for_migration


class Migration(migrations.Migration):

    dependencies = [
        ('ops', '0002_engine'),
    ]

    operations = [
        migrations.AddField(
            model_name='changeset',
            name='digests',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), null=True, size=None),
        ),
        migrations.AddField(
            model_name='changeset',
            name='images',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None),
        ),
        migrations.AddField(
            model_name='changeset',
            name='kind',
            field=models.CharField(choices=[('update', 'updated'), ('insert', 'inserted'), ('delete', 'deleted')], db_default='update', default='update', max_length=6),
        ),
        # A batch of a load has a changeset of the rows that it inserted, and one of those that it updated.
        migrations.RemoveConstraint('changeset', 'ops_changeset_batch'),
        migrations.AddConstraint(
            'changeset',
            models.UniqueConstraint(fields=('run', 'window', 'batch', 'kind', 'month'), name='ops_changeset_batch'),
        ),
        migrations.AddField(
            model_name='run',
            name='result',
            field=models.JSONField(null=True),
        ),
        migrations.CreateModel(
            name='Anomaly',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=100)),
                ('key', models.TextField()),
                ('detail', models.TextField(blank=True, db_default='', default='')),
                ('count', models.BigIntegerField(db_default=1, default=1)),
                ('first_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('last_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name_plural': 'anomalies',
                'constraints': [models.UniqueConstraint(fields=('kind', 'key'), name='ops_anomaly_once')],
            },
        ),
        migrations.CreateModel(
            name='Reject',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('found', models.CharField(choices=[('read', 'when it was read'), ('judged', 'when it was judged'), ('merged', 'when it was merged')], db_default='read', default='read', max_length=6)),
                ('line', models.BigIntegerField()),
                ('column', models.TextField(blank=True, db_default='', default='')),
                ('value', models.TextField(null=True)),
                ('reason', models.TextField()),
                ('raw', models.BinaryField(null=True)),
                ('fields', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(null=True), null=True, size=None)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rejects', to='ops.run')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('run', 'line'), name='ops_reject_line')],
            },
        ),
        migrations.RunSQL(
            for_migration(
                "ops/create_open_staging.sql",
                "ops/create_open_merge.sql",
                "ops/create_settle_merge.sql",
                "ops/create_drop_staging.sql",
                "ops/create_input_error.sql",
            ),
            for_migration("ops/drop_load_functions.sql"),
        ),
    ]
