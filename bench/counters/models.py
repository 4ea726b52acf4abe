"""The tables that the benchmarks of engine and load write; bench/engine.py and bench/load.py make them."""

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


class Use(models.Model):
    """What the load's benchmark writes: a 64-character key, three indexes; bench/load.py makes it."""

    digest = models.CharField(max_length=64, unique=True)
    account = models.IntegerField(db_index=True)
    hits = models.BigIntegerField()
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    seen_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "bench_use"

    def __str__(self) -> str:
        return f"{self.digest}: {self.hits}"
