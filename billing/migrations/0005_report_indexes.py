"""What the reports `revenue` and `subscriptions` bound their windows by."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_receivables")]

    operations = [
        migrations.AddIndex(
            model_name="invoiceline",
            index=models.Index(fields=["invoiced_at"], name="billing_invoice_line_at"),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(fields=["started_at"], name="billing_subscription_started"),
        ),
    ]
