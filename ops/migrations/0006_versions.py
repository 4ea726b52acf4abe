"""The functions that move the versions of tables."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ops", "0005_reports")]

    operations: list[migrations.operations.base.Operation] = []
