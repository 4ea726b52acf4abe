"""The functions that note which buckets of a rollup were touched."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ops", "0006_versions")]

    operations: list[migrations.operations.base.Operation] = []
