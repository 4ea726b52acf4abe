import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.contrib.postgres.fields import RangeOperators
from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now, Upper

import shop.models


class Migration(migrations.Migration):
    dependencies = [("shop", "0005_seed")]
    operations = [
        migrations.AlterField("product", "name", models.CharField(max_length=80)),
        migrations.AddField("product", "state", models.CharField(max_length=10, db_default="new")),
        migrations.AddField("product", "created", models.DateTimeField(db_default=Now())),
        migrations.AddField("product", "sold", models.DateTimeField(null=True)),
        migrations.AddField("product", "sku", models.CharField(max_length=30, null=True)),
        migrations.AddField("product", "region", models.CharField(max_length=10, null=True)),
        migrations.AddField(
            "product",
            "worth",
            models.GeneratedField(
                expression=F("price") * F("quantity"),
                output_field=models.DecimalField(max_digits=16, decimal_places=2),
                db_persist=True,
            ),
        ),
        migrations.AddField(
            "customer",
            "nicknames",
            django.contrib.postgres.fields.ArrayField(models.CharField(max_length=20), default=list, blank=True),
        ),
        migrations.AddField("customer", "settings", models.JSONField(default=dict)),
        migrations.AddIndex("customer", models.Index(Upper("name"), name="cust_upper")),
        migrations.AddIndex(
            "customer", django.contrib.postgres.indexes.GinIndex(fields=["nicknames"], name="cust_nick")
        ),
        migrations.AddConstraint("customer", models.UniqueConstraint(Lower("email"), name="cust_email_ci")),
        migrations.AddIndex(
            "product", models.Index(fields=["quantity"], name="prod_low", condition=Q(quantity__lt=10))
        ),
        migrations.AddIndex(
            "product", models.Index(fields=["category"], name="prod_cover", include=["price", "name"])
        ),
        migrations.AddIndex(
            "product", models.Index(fields=["name"], name="prod_name_like", opclasses=["varchar_pattern_ops"])
        ),
        migrations.AddIndex(
            "product", models.Index(F("price").desc(nulls_last=True), "name", name="prod_dear")
        ),
        migrations.AddConstraint("product", models.CheckConstraint(condition=Q(price__gte=0), name="prod_price")),
        migrations.AddConstraint(
            "product",
            models.UniqueConstraint(
                fields=["category", "position"], name="prod_def", deferrable=models.Deferrable.DEFERRED
            ),
        ),
        migrations.AddConstraint(
            "product", models.UniqueConstraint(fields=["sku", "region"], name="prod_sku", nulls_distinct=False)
        ),
        migrations.AddConstraint(
            "product",
            models.UniqueConstraint(
                fields=["name"], name="prod_named", condition=Q(state="live"), include=["quantity"]
            ),
        ),
        migrations.AddConstraint(
            "bundleitem", models.UniqueConstraint(fields=["bundle", "product"], name="bundle_once")
        ),
        migrations.CreateModel(
            "Booking",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("place", models.IntegerField()),
                ("first_hour", models.IntegerField()),
                ("last_hour", models.IntegerField()),
                ("customer", models.ForeignKey("shop.customer", models.SET_NULL, null=True)),
            ],
        ),
        migrations.AddConstraint(
            "booking",
            django.contrib.postgres.constraints.ExclusionConstraint(
                name="book_once",
                expressions=[
                    (shop.models.Int8Range("place", "place"), RangeOperators.OVERLAPS),
                    (shop.models.Int8Range("first_hour", "last_hour"), RangeOperators.OVERLAPS),
                ],
            ),
        ),
        migrations.AddConstraint(
            "booking",
            models.CheckConstraint(condition=Q(last_hour__gte=F("first_hour")), name="book_hours"),
        ),
    ]
