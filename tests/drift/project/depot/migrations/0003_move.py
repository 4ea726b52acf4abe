from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("depot", "0002_shelf")]
    operations = [
        migrations.CreateModel(
            "Move",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("place", models.ForeignKey("depot.place", models.CASCADE)),
                ("amount", models.IntegerField()),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.AddIndex("move", models.Index(fields=["place", "-at"], name="move_latest")),
    ]
