"""A table of the columns that a backfill may meet."""

import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shelf", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Parcel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("grams", models.IntegerField(db_column="Weight in {g}", null=True)),
                ("price", models.DecimalField(decimal_places=2, max_digits=8, null=True)),
                ("token", models.UUIDField(null=True)),
                ("label", models.CharField(default="", max_length=20)),
                ("sent", models.DateField(null=True)),
                (
                    "shouted",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.db.models.functions.text.Upper("label"),
                        output_field=models.CharField(max_length=20),
                    ),
                ),
                (
                    "counter",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, to="shelf.counter"
                    ),
                ),
            ],
        ),
    ]
