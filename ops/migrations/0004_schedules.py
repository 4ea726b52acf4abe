"""Runs that workers and schedules carry; how far a schedule's slots are settled, and those that were missed."""

import django.db.models.functions.datetime
from django.db import migrations, models

from ops.sql import for_migration


class Migration(migrations.Migration):

    dependencies = [
        ('ops', '0003_load'),
    ]

    operations = [
        migrations.CreateModel(
            name='MissedSlots',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('schedule', models.CharField(max_length=200)),
                ('first', models.DateTimeField()),
                ('last', models.DateTimeField()),
                ('count', models.PositiveIntegerField(db_default=1, default=1)),
                ('reason', models.TextField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name_plural': 'missed slots',
            },
        ),
        migrations.CreateModel(
            name='Schedule',
            fields=[
                ('name', models.CharField(max_length=200, primary_key=True, serialize=False)),
                ('declared', models.JSONField(null=True)),
                ('rule', models.TextField(blank=True, db_default='', default='')),
                ('settled_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='run',
            name='ops_run_one_unfinished',
        ),
        migrations.AddField(
            model_name='run',
            name='queue',
            field=models.CharField(blank=True, db_default='', default='', max_length=50),
        ),
        migrations.AddField(
            model_name='run',
            name='schedule',
            field=models.CharField(blank=True, db_default='', default='', max_length=200),
        ),
        migrations.AddField(
            model_name='run',
            name='sent_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='run',
            name='slot',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='run',
            name='task_id',
            field=models.CharField(blank=True, db_default='', default='', max_length=100),
        ),
        migrations.AlterField(
            model_name='run',
            name='state',
            field=models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('stopped', 'stopped, resumable'), ('paused', 'paused, resumable'), ('planned', 'planned'), ('done', 'done'), ('unverified', 'done, unverified'), ('refused', 'refused'), ('failed', 'failed'), ('cancelled', 'cancelled')], max_length=12),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running', 'stopped', 'paused'])), fields=('job', 'scope'), name='ops_run_one_unfinished'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(condition=models.Q(('slot__isnull', False)), fields=('schedule', 'slot'), name='ops_run_one_for_slot'),
        ),
        migrations.AddIndex(
            model_name='missedslots',
            index=models.Index(fields=['schedule', '-last'], name='ops_missedslots_schedule'),
        ),
        migrations.AddConstraint(
            model_name='missedslots',
            constraint=models.UniqueConstraint(fields=('schedule', 'first'), name='ops_missedslots_once'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('finished_at__isnull', False)), fields=['finished_at'], name='ops_run_finished'),
        ),
        # A month is not dropped while a queued run has changesets in it.
        migrations.RunSQL(for_migration("ops/create_drop_month.sql"), migrations.RunSQL.noop),
    ]
