import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0007_concurrent")]
    operations = [
        migrations.AddField("customer", "ticket", models.UUIDField(default=uuid.uuid4)),
        migrations.CreateModel(
            "Note",
            [
                ("id", models.SmallAutoField(primary_key=True, serialize=False)),
                ("text", models.TextField()),
                ("about", models.ForeignKey("shop.product", models.CASCADE, db_index=False, null=True)),
            ],
        ),
    ]
