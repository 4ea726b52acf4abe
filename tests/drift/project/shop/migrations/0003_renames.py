from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_more")]
    operations = [
        migrations.RenameField("category", "slug", "handle"),
        migrations.AddField("customer", "vip", models.BooleanField(default=False)),
    ]
