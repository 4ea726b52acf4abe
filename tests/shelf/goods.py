"""Models of what a load may meet: every type, every kind of unique key, odd names, constraints that refuse."""

import uuid

from django.contrib.postgres.fields import ArrayField, DateRangeField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

TABLE = 'shelf we"ird %s {t}'


class Buyer(models.Model):
    """Whom goods may be for, named by a code."""

    code = models.CharField(max_length=20, unique=True)
    name = models.TextField(null=True)  # noqa: DJ001 - so that a load may leave it out
    region = models.CharField(max_length=5, default="", db_default="")

    class Meta:
        app_label = "shelf"

    def __str__(self) -> str:
        return self.code


class Good(models.Model):
    """Columns of all types, with a natural key, defaults of all kinds and constraints with words."""

    class Kind(models.TextChoices):
        NEW = "new", "new"
        USED = "used", "used"

    sku = models.CharField(max_length=20, unique=True)
    ean = models.CharField(max_length=13, unique=True, null=True)  # noqa: DJ001 - unique where there is one
    name = models.TextField(default="")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.NEW)
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    stock = models.IntegerField(default=0)
    weight = models.FloatField(null=True)
    day = models.DateField(null=True)
    at = models.DateTimeField(null=True)
    active = models.BooleanField(default=True)
    extra = models.JSONField(null=True)
    tags = ArrayField(models.TextField(), null=True)
    span = DateRangeField(null=True)
    blob = models.BinaryField(null=True)
    token = models.UUIDField(default=uuid.uuid4)
    note = models.TextField(db_default="as usual", validators=[RegexValidator(r"^[^!]*$", "No shouting.")])
    buyer = models.ForeignKey(Buyer, on_delete=models.PROTECT, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    doubled = models.GeneratedField(expression=F("stock") * 2, output_field=models.IntegerField(), db_persist=True)

    class Meta:
        app_label = "shelf"
        constraints = [
            models.CheckConstraint(
                condition=Q(stock__gte=0), name="shelf_good_stock", violation_error_message="A stock is never negative."
            ),
        ]

    def __str__(self) -> str:
        return self.sku


class Sold(models.Model):
    """What refers to a good: then it can't be deleted."""

    good = models.ForeignKey(Good, on_delete=models.CASCADE)

    class Meta:
        app_label = "shelf"

    def __str__(self) -> str:
        return f"{self.good_id}"


class Slot(models.Model):
    """A key of two columns, one of which may be null, and null equals null."""

    place = models.CharField(max_length=20)
    box = models.IntegerField(null=True)
    v = models.IntegerField(default=0)

    class Meta:
        app_label = "shelf"
        constraints = [
            models.UniqueConstraint(fields=["place", "box"], name="shelf_slot_key", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return f"{self.place} {self.box}"


class Member(models.Model):
    """Unique by an expression; and a seat is unique among those who are there."""

    email = models.CharField(max_length=50)
    seat = models.IntegerField(null=True)
    left = models.BooleanField(default=False)
    name = models.TextField(default="")
    rank = models.IntegerField(default=0)

    class Meta:
        app_label = "shelf"
        constraints = [
            models.UniqueConstraint(Lower("email"), name="shelf_member_email"),
            models.UniqueConstraint(fields=["seat"], condition=Q(left=False), name="shelf_member_seat"),
        ]

    def __str__(self) -> str:
        return self.email


class Hit(models.Model):
    """A counter by the hash of what is counted."""

    digest = models.CharField(max_length=64, primary_key=True)
    count = models.BigIntegerField(default=1, db_default=1)
    label = models.TextField(null=True)  # noqa: DJ001 - an empty one counts as none
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "shelf"

    def __str__(self) -> str:
        return f"{self.digest}: {self.count}"


class Odd(models.Model):
    """Names that break a statement which was put together by hand; Django's own, too: the table is not its own."""

    key = models.CharField(max_length=20, unique=True, db_column='user"; DROP TABLE x; --')
    select = models.IntegerField(null=True, db_column="SELECT")
    size = models.TextField(default="", db_column="Größe in %s")
    braces = models.IntegerField(default=0, db_column="{x}")
    excluded = models.IntegerField(null=True, db_column="excluded")

    class Meta:
        app_label = "shelf"
        managed = False
        db_table = TABLE

    def __str__(self) -> str:
        return self.key


class Node(models.Model):
    """A tree: a row may refer to another of the same input."""

    name = models.CharField(max_length=20, primary_key=True)
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True)

    class Meta:
        app_label = "shelf"

    def __str__(self) -> str:
        return self.name


class Base(models.Model):
    """What another model inherits from, in a table of its own."""

    code = models.CharField(max_length=10, unique=True)

    class Meta:
        app_label = "shelf"

    def __str__(self) -> str:
        return self.code


class Derived(Base):
    """A model whose columns are in two tables."""

    size = models.IntegerField(default=0)

    class Meta:
        app_label = "shelf"


class Legacy(models.Model):
    """A table that Django does not manage: an enum, a domain, json, a serial, a rule that a trigger holds."""

    id = models.AutoField(primary_key=True)
    code = models.TextField()
    mood = models.TextField(null=True)  # noqa: DJ001 - as the table has it
    share = models.IntegerField(null=True)
    doc = models.TextField(null=True)  # noqa: DJ001 - as the table has it

    class Meta:
        app_label = "shelf"
        managed = False
        db_table = "shelf_legacy"

    def __str__(self) -> str:
        return self.code


LEGACY = """
CREATE TABLE "shelf we""ird %s {t}" (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    "user""; DROP TABLE x; --" varchar(20) NOT NULL UNIQUE,
    "SELECT" integer CHECK ("SELECT" <> 13), "Größe in %s" text NOT NULL, "{x}" integer NOT NULL, excluded integer
);
CREATE TYPE shelf_mood AS ENUM ('good', 'bad');
CREATE DOMAIN shelf_share AS integer CHECK (value BETWEEN 0 AND 100);
CREATE TABLE shelf_legacy (
    id serial PRIMARY KEY, code text NOT NULL, mood shelf_mood, share shelf_share, doc json,
    CONSTRAINT shelf_legacy_code UNIQUE (code)
);
CREATE FUNCTION shelf_no_thirteen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.share = 13 THEN
        RAISE EXCEPTION 'thirteen brings bad luck';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER no_thirteen BEFORE INSERT OR UPDATE ON shelf_legacy FOR EACH ROW EXECUTE FUNCTION shelf_no_thirteen();
"""
