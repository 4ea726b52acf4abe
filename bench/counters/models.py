"""The table that the engine's benchmark writes; bench/engine.py makes it."""

from django.db import models


class Counter(models.Model):
    id = models.BigIntegerField(primary_key=True)
    v = models.BigIntegerField()
    base = models.BigIntegerField()
    note = models.TextField()

    class Meta:
        managed = False
        db_table = "bench_counter"

    def __str__(self) -> str:
        return f"{self.pk}: {self.v}"
