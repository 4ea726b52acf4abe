from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0006_rules")]
    operations = [AddIndexConcurrently("product", models.Index(fields=["sold"], name="prod_sold"))]
