"""Models with every kind of key."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Upper


class Counter(models.Model):
    """A row that a job adds to: what is done twice shows."""

    v = models.BigIntegerField(default=0)
    note = models.TextField(default="")
    email = models.TextField(default="")

    def __str__(self) -> str:
        return f"{self.pk}: {self.v}"


class Ticket(models.Model):
    """A random key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    v = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pk}: {self.v}"


class Word(models.Model):
    """A key of text, in the database's collation."""

    word = models.CharField(max_length=200, primary_key=True)
    v = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pk}: {self.v}"


class CWord(models.Model):
    """A key of text in a collation of its own."""

    word = models.CharField(max_length=200, primary_key=True, db_collation="C")
    v = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pk}: {self.v}"


class Rate(models.Model):
    """A composite key, with names that the engine uses for other things."""

    pk = models.CompositePrimaryKey("currency", "version", "slot")
    currency = models.CharField(max_length=3)
    version = models.IntegerField()
    slot = models.DateField()
    v = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pk}: {self.v}"


class Reading(models.Model):
    """Partitioned by day; the key of the table is (day, id)."""

    pk = models.CompositePrimaryKey("day", "id")
    day = models.DateField()
    id = models.BigIntegerField()
    v = models.BigIntegerField(default=0)
    celsius = models.DecimalField(max_digits=6, decimal_places=2, null=True)

    class Meta:
        db_table: ClassVar[str] = "shelf_reading"

    def __str__(self) -> str:
        return f"{self.pk}: {self.v}"


class Parcel(models.Model):
    """Columns that a backfill may meet: null, foreign, generated, of a type with parameters, oddly named."""

    grams = models.IntegerField(null=True, db_column="Weight in {g}")
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    token = models.UUIDField(null=True)
    label = models.CharField(max_length=20, default="")
    sent = models.DateField(null=True)
    counter = models.ForeignKey(Counter, on_delete=models.CASCADE, null=True)
    shouted = models.GeneratedField(
        expression=Upper("label"), output_field=models.CharField(max_length=20), db_persist=True
    )

    def __str__(self) -> str:
        return f"{self.pk}: {self.label}"


# At the end, for they are of the same app: Django finds the models of an app in its module models.
from tests.shelf.goods import (  # noqa: E402, F401 - see above
    Base,
    Buyer,
    Derived,
    Good,
    Hit,
    Legacy,
    Member,
    Node,
    Odd,
    Slot,
    Sold,
)
