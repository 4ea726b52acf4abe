from django.db import migrations, models


def seed(apps, schema_editor):
    Currency = apps.get_model("shop", "Currency")
    for code, minor_units in (("KRW", 0), ("USD", 2), ("KWD", 3)):
        Currency.objects.create(code=code, minor_units=minor_units)


class Migration(migrations.Migration):
    dependencies = [("shop", "0004_sql")]
    operations = [
        migrations.CreateModel(
            "Currency",
            [
                ("code", models.CharField(max_length=3, primary_key=True, serialize=False)),
                ("minor_units", models.SmallIntegerField(db_default=2)),
            ],
        ),
        migrations.CreateModel(
            "Rate",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "currency", "day", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("currency", models.ForeignKey("shop.currency", models.PROTECT)),
                ("day", models.DateField()),
                ("value", models.DecimalField(max_digits=20, decimal_places=10)),
            ],
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]
