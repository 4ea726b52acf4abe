"""What is where: an app that depends on shop, with a table in a schema of its own."""

from django.db import models


class Shelf(models.Model):
    code = models.CharField(max_length=20, unique=True)
    height = models.IntegerField(default=100)

    class Meta:
        db_table = '"stock"."shelf"'

    def __str__(self) -> str:
        return self.code


class Place(models.Model):
    product = models.OneToOneField("shop.Product", models.CASCADE)
    shelf = models.ForeignKey(Shelf, models.PROTECT)
    amount = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.product_id} {self.shelf_id}"


class Move(models.Model):
    place = models.ForeignKey(Place, models.CASCADE)
    amount = models.IntegerField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["place", "-at"], name="move_latest")]

    def __str__(self) -> str:
        return f"{self.place_id} {self.amount}"
