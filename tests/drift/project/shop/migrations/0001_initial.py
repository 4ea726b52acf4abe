from django.db import migrations, models

ID = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Category",
            [
                ID,
                ("name", models.CharField(max_length=50, db_collation="C")),
                ("slug", models.SlugField(unique=True, db_comment="Its part of the address")),
                (
                    "parent",
                    models.ForeignKey(
                        "shop.category", models.SET_NULL, null=True, blank=True, related_name="children"
                    ),
                ),
            ],
            {"db_table_comment": "What products are sorted by"},
        ),
        migrations.CreateModel("Tag", [ID, ("label", models.CharField(max_length=40, unique=True))]),
        migrations.CreateModel(
            "Customer",
            [ID, ("name", models.CharField(max_length=60)), ("email", models.EmailField(max_length=254, unique=True))],
        ),
        migrations.CreateModel(
            "Product",
            [
                ID,
                ("name", models.CharField(max_length=30)),
                ("category", models.ForeignKey("shop.category", models.CASCADE)),
                ("tags", models.ManyToManyField("shop.tag")),
                ("price", models.DecimalField(max_digits=10, decimal_places=2)),
                ("quantity", models.IntegerField(default=0)),
                ("position", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            "Favourite",
            [
                ID,
                ("customer", models.ForeignKey("shop.customer", models.CASCADE)),
                ("product", models.ForeignKey("shop.product", models.CASCADE)),
                ("since", models.DateField()),
            ],
            {"unique_together": {("customer", "product")}},
        ),
    ]
