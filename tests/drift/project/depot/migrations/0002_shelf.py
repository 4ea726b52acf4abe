from django.db import migrations, models

ID = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


class Migration(migrations.Migration):
    dependencies = [("depot", "0001_schema"), ("shop", "0006_rules")]
    operations = [
        migrations.CreateModel(
            "Shelf",
            [
                ID,
                ("code", models.CharField(max_length=20, unique=True)),
                ("height", models.IntegerField(default=100)),
            ],
            {"db_table": '"stock"."shelf"'},
        ),
        migrations.CreateModel(
            "Place",
            [
                ID,
                ("product", models.OneToOneField("shop.product", models.CASCADE)),
                ("shelf", models.ForeignKey("depot.shelf", models.PROTECT)),
                ("amount", models.IntegerField(default=0)),
            ],
        ),
    ]
