"""The tables of what comes from files of other systems, and of usage counters."""

import billing.models.pricing
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0002_pricing'),
    ]

    operations = [
        migrations.CreateModel(
            name='FxRate',
            fields=[
                ('pk', models.CompositePrimaryKey('currency', 'day', blank=True, editable=False, primary_key=True, serialize=False)),
                ('currency', models.CharField(max_length=3)),
                ('day', models.DateField()),
                ('rate', models.DecimalField(decimal_places=8, max_digits=20)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('rate__gt', 0), ('rate__lt', 1000000000000)), name='billing_fx_rate_above_zero', violation_error_message='A rate is a number above zero.'), models.CheckConstraint(condition=models.Q(('currency__regex', '^[A-Z]{3}$')), name='billing_fx_rate_currency', violation_error_message="A currency's code is three capital letters, such as KRW."), models.CheckConstraint(condition=models.Q(('currency', 'EUR'), _negated=True), name='billing_fx_rate_not_euro', violation_error_message='The euro is 1 by definition and has no rate.')],
            },
        ),
        migrations.CreateModel(
            name='UsageCounter',
            fields=[
                ('digest', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('account', models.TextField(null=True)),
                ('meter', models.TextField()),
                ('count', models.BigIntegerField()),
                ('first_at', models.DateTimeField(db_default=models.Func(function='clock_timestamp', output_field=models.DateTimeField()))),
                ('last_at', models.DateTimeField(db_default=models.Func(function='clock_timestamp', output_field=models.DateTimeField()))),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('count__gte', 1)), name='billing_usage_counted', violation_error_message='A counter counts at least 1.'), models.CheckConstraint(condition=models.Q(('account', ''), _negated=True), name='billing_usage_account', violation_error_message='An account without a name is null.')],
            },
        ),
        migrations.CreateModel(
            name='HotelBooking',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('identity', models.UUIDField(help_text='A hash of what was fixed when the booking was made.')),
                ('occurrence', models.PositiveIntegerField(help_text='Its place, from 1, among bookings of this identity.')),
                ('hotel', models.CharField(max_length=60)),
                ('status', models.CharField(choices=[('Check-Out', 'completed'), ('Canceled', 'cancelled'), ('No-Show', 'no-show')], max_length=20)),
                ('status_on', models.DateField()),
                ('booked_on', models.DateField()),
                ('arrives_on', models.DateField()),
                ('nights', models.PositiveSmallIntegerField()),
                ('adults', models.PositiveSmallIntegerField()),
                ('children', models.PositiveSmallIntegerField(null=True)),
                ('babies', models.PositiveSmallIntegerField()),
                ('daily_rate', billing.models.pricing.MoneyField(decimal_places=4, max_digits=19)),
                ('deposit_type', models.CharField(choices=[('No Deposit', 'none'), ('Non Refund', 'not refundable'), ('Refundable', 'refundable')], max_length=20)),
                ('agent', models.IntegerField(null=True)),
                ('company', models.IntegerField(null=True)),
                ('market_segment', models.CharField(max_length=40)),
                ('channel', models.CharField(max_length=40)),
                ('customer_type', models.CharField(max_length=40)),
                ('meal', models.CharField(max_length=20)),
                ('country', models.CharField(blank=True, db_default='', default='', max_length=3)),
                ('currency', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.currency')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('identity', 'occurrence'), name='billing_booking', violation_error_message='There is a booking of this identity in this place already.'), models.CheckConstraint(condition=models.Q(('daily_rate__lt', 1000000000000000)), name='billing_booking_daily_rate', violation_error_message='An amount is a number, not NaN.'), models.CheckConstraint(condition=models.Q(('status__in', ['Check-Out', 'Canceled', 'No-Show'])), name='billing_booking_status', violation_error_message="A booking's status is Check-Out, Canceled or No-Show."), models.CheckConstraint(condition=models.Q(('deposit_type__in', ['No Deposit', 'Non Refund', 'Refundable'])), name='billing_booking_deposit', violation_error_message='A deposit is No Deposit, Non Refund or Refundable.')],
            },
        ),
        migrations.CreateModel(
            name='InvoiceLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('invoice', models.CharField(max_length=20)),
                ('stock_code', models.CharField(max_length=20)),
                ('price', billing.models.pricing.MoneyField(decimal_places=4, max_digits=19)),
                ('quantity', models.IntegerField()),
                ('description', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('invoiced_at', models.DateTimeField()),
                ('customer', models.CharField(max_length=20, null=True)),
                ('country', models.CharField(blank=True, db_default='', default='', max_length=60)),
                ('currency', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.currency')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('invoice', 'stock_code', 'price'), name='billing_invoice_line', violation_error_message='An invoice has one line for a stock code at a price.'), models.CheckConstraint(condition=models.Q(models.Q(('invoice', ''), _negated=True), models.Q(('stock_code', ''), _negated=True)), name='billing_invoice_line_named', violation_error_message='An invoice line names its invoice and its stock code.'), models.CheckConstraint(condition=models.Q(('price__lt', 1000000000000000)), name='billing_invoice_line_price', violation_error_message='An amount is a number, not NaN.')],
            },
        ),
    ]
