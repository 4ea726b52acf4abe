import uuid

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.AddField("customer", "phone", models.CharField(max_length=30, default="")),
        migrations.AddField("customer", "joined", models.DateTimeField(db_default=Now())),
        migrations.CreateModel(
            "Profile",
            [
                (
                    "customer",
                    models.OneToOneField("shop.customer", models.CASCADE, primary_key=True, serialize=False),
                ),
                ("bio", models.TextField(default="")),
                ("patience", models.DurationField(null=True)),
            ],
        ),
        migrations.CreateModel(
            "Bundle",
            [
                ("key", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("title", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            "BundleItem",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("bundle", models.ForeignKey("shop.bundle", models.CASCADE)),
                ("product", models.ForeignKey("shop.product", models.CASCADE)),
                ("count", models.PositiveSmallIntegerField(default=1)),
            ],
        ),
        migrations.AddField(
            "bundle", "products", models.ManyToManyField("shop.product", through="shop.BundleItem")
        ),
    ]
