"""The tables of partners, their orders, and uploads."""

import billing.models.orders
import billing.models.pricing
import django.db.models.deletion
from django.db import migrations, models

from ops.sql import for_migration


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0003_received'),
    ]

    operations = [
        migrations.CreateModel(
            name='Partner',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reference', models.CharField(blank=True, help_text='What the partner is called where its orders come from; empty for one that was made by hand.', max_length=100, null=True, unique=True)),
                ('credit_limit', billing.models.pricing.MoneyField(blank=True, decimal_places=4, help_text='Empty is no limit.', max_digits=19, null=True)),
                ('zone', models.CharField(db_default='Asia/Seoul', default='Asia/Seoul', max_length=64, validators=[billing.models.pricing.known_zone])),
                ('client', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='partner', to='billing.client')),
                ('credit_currency', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.currency')),
                ('currency', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.currency')),
            ],
        ),
        migrations.CreateModel(
            name='Order',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('type', models.CharField(max_length=30)),
                ('reference', models.CharField(help_text='What the order is called where it comes from.', max_length=100)),
                ('status', models.CharField(max_length=30)),
                ('sold_at', models.DateTimeField()),
                ('sell_amount', billing.models.pricing.MoneyField(decimal_places=4, max_digits=19)),
                ('sell_rate', billing.models.orders.RateField(blank=True, decimal_places=8, help_text='At the moment of sale; empty where it was not known.', max_digits=20, null=True)),
                ('penalty_amount', billing.models.pricing.MoneyField(db_default=0, decimal_places=4, default=0, help_text='Owed for a cancelled order, in the sell currency.', max_digits=19)),
                ('refund_amount', billing.models.pricing.MoneyField(db_default=0, decimal_places=4, default=0, max_digits=19)),
                ('refund_rate', billing.models.orders.RateField(blank=True, decimal_places=8, help_text='At the moment of sale; empty where it was not known.', max_digits=20, null=True)),
                ('pending_on', models.DateField(help_text='From this day on it is to be paid; before it, it only uses credit.')),
                ('due_on', models.DateField(help_text='The last day on which it is paid in time.')),
                ('paid_on', models.DateField(blank=True, null=True)),
                ('refunded_on', models.DateField(blank=True, null=True)),
                ('refund_currency', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.currency')),
                ('sell_currency', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.currency')),
                ('partner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='billing.partner')),
            ],
        ),
        migrations.CreateModel(
            name='Upload',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('size', models.BigIntegerField(help_text='In bytes.')),
                ('uploaded_at', models.DateTimeField()),
                ('client', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.client')),
            ],
        ),
        migrations.AddConstraint(
            model_name='partner',
            constraint=models.CheckConstraint(condition=models.Q(('credit_limit__isnull', True), models.Q(('credit_limit__gte', 0), ('credit_limit__lt', 1000000000000000)), _connector='OR'), name='billing_partner_credit_limit', violation_error_message='A credit limit is a number and never negative.'),
        ),
        migrations.AddConstraint(
            model_name='partner',
            constraint=models.CheckConstraint(condition=models.Q(('credit_limit__isnull', True), ('credit_currency__isnull', False), _connector='OR'), name='billing_partner_credit_currency', violation_error_message='A credit limit has a currency.'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.UniqueConstraint(fields=('reference', 'type'), name='billing_order_reference', violation_error_message='There is an order of this type and reference already.'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('sell_amount__gte', 0), ('sell_amount__lt', 1000000000000000)), name='billing_order_sell_amount', violation_error_message='An amount is a number and never negative.'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('penalty_amount__gte', 0), ('penalty_amount__lt', 1000000000000000)), name='billing_order_penalty_amount', violation_error_message='An amount is a number and never negative.'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('refund_amount__gte', 0), ('refund_amount__lt', 1000000000000000)), name='billing_order_refund_amount', violation_error_message='An amount is a number and never negative.'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('sell_rate__isnull', True), models.Q(('sell_rate__gt', 0), ('sell_rate__lt', 1000000000000)), _connector='OR'), name='billing_order_sell_rate', violation_error_message='A rate is a number above zero.'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('refund_rate__isnull', True), models.Q(('refund_rate__gt', 0), ('refund_rate__lt', 1000000000000)), _connector='OR'), name='billing_order_refund_rate', violation_error_message='A rate is a number above zero.'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('refund_amount', 0), ('refund_currency__isnull', False), _connector='OR'), name='billing_order_refund_currency', violation_error_message='A refund has a currency.'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('due_on__gte', models.F('pending_on'))), name='billing_order_due_on', violation_error_message='An order is due on the day from which it is to be paid, or later.'),
        ),
        migrations.AddIndex(
            model_name='upload',
            index=models.Index(fields=['uploaded_at'], include=('size',), name='billing_upload_windows'),
        ),
        migrations.AddConstraint(
            model_name='upload',
            constraint=models.CheckConstraint(condition=models.Q(('size__gte', 0)), name='billing_upload_size', violation_error_message='A size is never negative.'),
        ),
        # By hand: Django's own checks know no zones.
        migrations.RunSQL(
            for_migration("billing/create_known_zone.sql", "billing/set_partner_zone_check.sql"),
            for_migration("billing/drop_partner_zone_check.sql", "billing/drop_known_zone.sql"),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['paid_on'], name='billing_order_paid_on'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('refund_amount__gt', 0)), fields=['refunded_on'], name='billing_order_refunded_on'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['sold_at'], name='billing_order_sold_at'),
        ),
    ]
