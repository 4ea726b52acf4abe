"""A shop with most of what a Django project can have in PostgreSQL; its migrations come to this state."""

import uuid

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, RangeOperators
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Lower, Now, Upper


class Int8Range(Func):
    """A range of one integer, so that integers may exclude each other without btree_gist."""

    function = "int8range"
    template = "%(function)s(%(expressions)s, '[]')"


class Category(models.Model):
    name = models.CharField(max_length=50, db_collation="C")
    handle = models.SlugField(unique=True, db_comment="Its part of the address")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")

    class Meta:
        db_table_comment = "What products are sorted by"

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    label = models.CharField(max_length=40, unique=True)

    def __str__(self) -> str:
        return self.label


class Customer(models.Model):
    name = models.CharField(max_length=60)
    email = models.EmailField(unique=True)
    phone = models.CharField(max_length=30, default="")
    vip = models.BooleanField(default=False)
    joined = models.DateTimeField(db_default=Now())
    nicknames = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    settings = models.JSONField(default=dict)
    ticket = models.UUIDField(default=uuid.uuid4)

    class Meta:
        indexes = [
            models.Index(Upper("name"), name="cust_upper"),
            GinIndex(fields=["nicknames"], name="cust_nick"),
        ]
        constraints = [models.UniqueConstraint(Lower("email"), name="cust_email_ci")]

    def __str__(self) -> str:
        return self.name


class Profile(models.Model):
    customer = models.OneToOneField(Customer, models.CASCADE, primary_key=True)
    bio = models.TextField(default="")
    patience = models.DurationField(null=True)

    def __str__(self) -> str:
        return self.bio


class Product(models.Model):
    name = models.CharField(max_length=80)
    category = models.ForeignKey(Category, models.CASCADE)
    tags = models.ManyToManyField(Tag)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    quantity = models.IntegerField(default=0)
    position = models.IntegerField()
    worth = models.GeneratedField(
        expression=F("price") * F("quantity"),
        output_field=models.DecimalField(max_digits=16, decimal_places=2),
        db_persist=True,
    )
    state = models.CharField(max_length=10, db_default="new")
    created = models.DateTimeField(db_default=Now())
    sold = models.DateTimeField(null=True)
    sku = models.CharField(max_length=30, null=True)  # noqa: DJ001 - unique where it is known
    region = models.CharField(max_length=10, null=True)  # noqa: DJ001 - part of the same

    class Meta:
        indexes = [
            models.Index(fields=["quantity"], name="prod_low", condition=Q(quantity__lt=10)),
            models.Index(fields=["category"], name="prod_cover", include=["price", "name"]),
            models.Index(fields=["name"], name="prod_name_like", opclasses=["varchar_pattern_ops"]),
            models.Index(F("price").desc(nulls_last=True), "name", name="prod_dear"),
            models.Index(fields=["sold"], name="prod_sold"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(price__gte=0), name="prod_price"),
            models.UniqueConstraint(
                fields=["category", "position"], name="prod_def", deferrable=models.Deferrable.DEFERRED
            ),
            models.UniqueConstraint(fields=["sku", "region"], name="prod_sku", nulls_distinct=False),
            models.UniqueConstraint(
                fields=["name"], name="prod_named", condition=Q(state="live"), include=["quantity"]
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Favourite(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    product = models.ForeignKey(Product, models.CASCADE)
    since = models.DateField()

    class Meta:
        unique_together = [("customer", "product")]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.product_id}"


class Bundle(models.Model):
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.TextField()
    products = models.ManyToManyField(Product, through="BundleItem")

    def __str__(self) -> str:
        return self.title


class BundleItem(models.Model):
    bundle = models.ForeignKey(Bundle, models.CASCADE)
    product = models.ForeignKey(Product, models.CASCADE)
    count = models.PositiveSmallIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bundle", "product"], name="bundle_once")]

    def __str__(self) -> str:
        return f"{self.bundle_id} {self.product_id}"


class Currency(models.Model):
    code = models.CharField(max_length=3, primary_key=True)
    minor_units = models.SmallIntegerField(db_default=2)

    def __str__(self) -> str:
        return self.code


class Rate(models.Model):
    pk = models.CompositePrimaryKey("currency", "day")
    currency = models.ForeignKey(Currency, models.PROTECT)
    day = models.DateField()
    value = models.DecimalField(max_digits=20, decimal_places=10)

    def __str__(self) -> str:
        return f"{self.currency_id} {self.day}"


class Booking(models.Model):
    place = models.IntegerField()
    first_hour = models.IntegerField()
    last_hour = models.IntegerField()
    customer = models.ForeignKey(Customer, models.SET_NULL, null=True, db_constraint=True)

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="book_once",
                expressions=[
                    (Int8Range("place", "place"), RangeOperators.OVERLAPS),
                    (Int8Range("first_hour", "last_hour"), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(condition=Q(last_hour__gte=F("first_hour")), name="book_hours"),
        ]

    def __str__(self) -> str:
        return f"{self.place} {self.first_hour}"


class Note(models.Model):
    id = models.SmallAutoField(primary_key=True)
    text = models.TextField()
    about = models.ForeignKey(Product, models.CASCADE, db_index=False, null=True)

    def __str__(self) -> str:
        return self.text
