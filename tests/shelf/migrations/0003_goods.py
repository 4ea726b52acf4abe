"""Tables of what a load may meet."""

import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.functions.text
import uuid
from django.db import migrations, models

from tests.shelf.goods import LEGACY


class Migration(migrations.Migration):

    dependencies = [
        ('shelf', '0002_parcel'),
    ]

    operations = [
        migrations.CreateModel(
            name='Legacy',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('code', models.TextField()),
                ('mood', models.TextField(null=True)),
                ('share', models.IntegerField(null=True)),
                ('doc', models.TextField(null=True)),
            ],
            options={
                'db_table': 'shelf_legacy',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Odd',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(db_column='user"; DROP TABLE x; --', max_length=20, unique=True)),
                ('select', models.IntegerField(db_column='SELECT', null=True)),
                ('size', models.TextField(db_column='Größe in %s', default='')),
                ('braces', models.IntegerField(db_column='{x}', default=0)),
                ('excluded', models.IntegerField(db_column='excluded', null=True)),
            ],
            options={
                'db_table': 'shelf we"ird %s {t}',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Base',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=10, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name='Buyer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=20, unique=True)),
                ('name', models.TextField(null=True)),
                ('region', models.CharField(db_default='', default='', max_length=5)),
            ],
        ),
        migrations.CreateModel(
            name='Hit',
            fields=[
                ('digest', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('count', models.BigIntegerField(db_default=1, default=1)),
                ('label', models.TextField(null=True)),
                ('last_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Derived',
            fields=[
                ('base_ptr', models.OneToOneField(auto_created=True, on_delete=django.db.models.deletion.CASCADE, parent_link=True, primary_key=True, serialize=False, to='shelf.base')),
                ('size', models.IntegerField(default=0)),
            ],
            bases=('shelf.base',),
        ),
        migrations.CreateModel(
            name='Good',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sku', models.CharField(max_length=20, unique=True)),
                ('ean', models.CharField(max_length=13, null=True, unique=True)),
                ('name', models.TextField(default='')),
                ('kind', models.CharField(choices=[('new', 'new'), ('used', 'used')], default='new', max_length=10)),
                ('price', models.DecimalField(decimal_places=2, max_digits=8, null=True)),
                ('stock', models.IntegerField(default=0)),
                ('weight', models.FloatField(null=True)),
                ('day', models.DateField(null=True)),
                ('at', models.DateTimeField(null=True)),
                ('active', models.BooleanField(default=True)),
                ('extra', models.JSONField(null=True)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None)),
                ('span', django.contrib.postgres.fields.ranges.DateRangeField(null=True)),
                ('blob', models.BinaryField(null=True)),
                ('token', models.UUIDField(default=uuid.uuid4)),
                ('note', models.TextField(db_default='as usual', validators=[django.core.validators.RegexValidator('^[^!]*$', 'No shouting.')])),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('doubled', models.GeneratedField(db_persist=True, expression=django.db.models.expressions.CombinedExpression(models.F('stock'), '*', models.Value(2)), output_field=models.IntegerField())),
                ('buyer', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to='shelf.buyer')),
            ],
        ),
        migrations.CreateModel(
            name='Member',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('email', models.CharField(max_length=50)),
                ('seat', models.IntegerField(null=True)),
                ('left', models.BooleanField(default=False)),
                ('name', models.TextField(default='')),
                ('rank', models.IntegerField(default=0)),
            ],
            options={
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('email'), name='shelf_member_email'), models.UniqueConstraint(condition=models.Q(('left', False)), fields=('seat',), name='shelf_member_seat')],
            },
        ),
        migrations.CreateModel(
            name='Node',
            fields=[
                ('name', models.CharField(max_length=20, primary_key=True, serialize=False)),
                ('parent', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, to='shelf.node')),
            ],
        ),
        migrations.CreateModel(
            name='Slot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('place', models.CharField(max_length=20)),
                ('box', models.IntegerField(null=True)),
                ('v', models.IntegerField(default=0)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('place', 'box'), name='shelf_slot_key', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='Sold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('good', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='shelf.good')),
            ],
        ),
        migrations.AddConstraint(
            model_name='good',
            constraint=models.CheckConstraint(condition=models.Q(('stock__gte', 0)), name='shelf_good_stock', violation_error_message='A stock is never negative.'),
        ),
        migrations.RunSQL(LEGACY, migrations.RunSQL.noop),
    ]
