"""The peers, each run in a process of its own: `python -m bench.contenders NAME [ROWS]` prints what it took as JSON."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import django
from django.db import connection, models, transaction

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now
from psycopg2.sql import SQL

from billing.models import PriceChange, Subscription
from ops import clock
from ops.engine import registry
from ops.engine import run as engine
from ops.engine.session import Session
from ops.engine.staging import stage
from ops.sql import load

EVERYTHING: dict[str, Any] = {"client": [], "dirty": False, "plan": [], "service": []}


class BenchPrice(models.Model):
    """The hand-written price list, for the contenders that read it by the ORM."""

    service_id = models.BigIntegerField()
    plan_id = models.BigIntegerField()
    minimum_quantity = models.IntegerField()
    below = models.IntegerField()
    price = models.DecimalField(max_digits=19, decimal_places=4)

    class Meta:
        app_label = "billing"
        managed = False
        db_table = "bench_price"

    def __str__(self) -> str:
        return str(self.price)


def _wanted() -> Callable[[Subscription], Decimal]:
    """Return the wanted price of a subscription from a price list held in Python."""
    listed: dict[tuple[int, int], list[tuple[int, Decimal]]] = {}
    for row in BenchPrice.objects.order_by("-minimum_quantity").iterator():
        listed.setdefault((row.service_id, row.plan_id), []).append((row.minimum_quantity, row.price))

    def wanted(sub: Subscription) -> Decimal:
        assert sub.plan_id is not None
        return next(price for least, price in listed[sub.service_id, sub.plan_id] if sub.quantity >= least)

    return wanted


def _changed(rows: int) -> list[Subscription]:
    """Return so many subscriptions that differ, with their new price set."""
    wanted = _wanted()
    found = []
    for sub in Subscription.objects.filter(pinned_until=None).order_by("pk").iterator(chunk_size=10_000):
        price = wanted(sub)
        if price != sub.price:
            sub.price = price
            found.append(sub)
            if len(found) == rows:
                break
    return found


def save_loop(rows: int) -> tuple[int, float]:
    """`save()` each, as the dashboard's author would."""
    start = time.perf_counter()
    subs = _changed(rows)
    for sub in subs:
        sub.save(update_fields=["price"])
    return len(subs), time.perf_counter() - start


def bulk_update(rows: int) -> tuple[int, float]:
    """Django's bulk_update, a thousand rows a statement, each committed."""
    start = time.perf_counter()
    subs = _changed(rows)
    for at in range(0, len(subs), 1_000):
        Subscription.objects.bulk_update(subs[at : at + 1_000], ["price"])
    return len(subs), time.perf_counter() - start


def pgbulk_update(rows: int) -> tuple[int, float]:
    """django-pgbulk's update, ten thousand rows a statement."""
    import pgbulk

    start = time.perf_counter()
    subs = _changed(rows)
    for at in range(0, len(subs), 10_000):
        pgbulk.update(Subscription, subs[at : at + 10_000], ["price"])
    return len(subs), time.perf_counter() - start


def subquery_update(rows: int) -> tuple[int, float]:
    """Django's one statement: `.update(price=Subquery(..))`, for the services whose price changed."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX ON bench_price (service_id, plan_id, minimum_quantity)")
    listed = BenchPrice.objects.filter(
        service_id=OuterRef("service_id"), plan_id=OuterRef("plan_id"), minimum_quantity__lte=OuterRef("quantity")
    ).order_by("-minimum_quantity")
    start = time.perf_counter()
    free = models.Q(pinned_until=None) | models.Q(pinned_until__lte=Now())
    raised = Subscription.objects.filter(free, service_id__in=PriceChange.objects.values("service_id"))
    done = raised.update(price=Subquery(listed.values("price")[:1]))
    return done, time.perf_counter() - start


def task_per_row(rows: int) -> tuple[int, float]:
    """The old way: one Celery task per subscription, through a real worker with two processes."""
    from bench.old_way import reprice_one

    subs = [(sub.pk, str(sub.price)) for sub in _changed(rows)]
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "config", "worker", "-I", "bench.old_way", "-Q", "bench_old_way",
         "-c", "2", "-l", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # The worker's start is not timed: it is up when it has done one task that changes nothing.
        first = subs[0]
        reprice_one.apply_async(first, queue="bench_old_way")
        _wait_for(subs[:1])
        start = time.perf_counter()
        for row in subs[1:]:
            reprice_one.apply_async(row, queue="bench_old_way")
        _wait_for(subs)
        return len(subs) - 1, time.perf_counter() - start
    finally:
        worker.terminate()
        worker.wait()


def _wait_for(subs: list[tuple[int, str]]) -> None:
    """Wait until all these rows have their new price."""
    keys = [key for key, _ in subs]
    prices = [price for _, price in subs]
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT count(*) FROM unnest(%s::bigint[], %s::numeric[]) AS w (id, price) "
                "INNER JOIN billing_subscription AS s ON s.id = w.id AND s.price = w.price",
                [keys, prices],
            )
            if cursor.fetchone() == (len(subs),):
                return
            time.sleep(0.05)


def ours(rows: int) -> tuple[int, float]:
    """The engine, in process: plan, guards, batches with changesets and checkpoints, run record."""
    start = time.perf_counter()
    done, _ = engine.apply(registry.find("billing.reprice"), EVERYTHING, engine.Options())
    return done.changed, time.perf_counter() - start


def ours_sweep(rows: int) -> tuple[int, float]:
    """The engine on rows of which none differs."""
    start = time.perf_counter()
    done, plan = engine.apply(registry.find("billing.reprice"), EVERYTHING, engine.Options())
    seconds = time.perf_counter() - start
    assert (plan.changes, done.changed) == (0, 0)
    return plan.looked_at, seconds


def own_select(rows: int) -> tuple[int, float]:
    """Compute the engine's own SELECT of the wanted prices, bare: staged, delivered to nobody, counted by nobody."""
    session = Session("default")
    job = registry.find("billing.reprice")
    values = job.sql_params(EVERYTHING, clock.now(), None)
    start = time.perf_counter()
    with session.transaction(lock_timeout=1_000, statement_timeout=0, snapshot=True):
        stage(session, job, EVERYTHING, values)
        session.execute(SQL("COPY ({}) TO '/dev/null'").format(SQL(load(job.wanted).body)), values)
    return 0, time.perf_counter() - start


def ours_one_service(rows: int) -> tuple[int, float]:
    """One service's price changed: time in the database to plan and apply what it touches."""
    engine.apply(registry.find("billing.reprice"), EVERYTHING, engine.Options())
    spent: list[float] = []

    def watch(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        start = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            spent.append(time.perf_counter() - start)

    best: list[tuple[float, int]] = []
    for service in (11, 13, 17, 19, 23):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE billing_service SET full_price = full_price * 1.03 "
                "WHERE id = (SELECT min(id) + %s FROM billing_service)", [service]
            )  # fmt: skip
        spent.clear()
        with connection.execute_wrapper(watch):
            done, _ = engine.apply(registry.find("billing.reprice"), {**EVERYTHING, "dirty": True}, engine.Options())
        best.append((sum(spent), done.changed))
    best.sort()
    seconds, changed = best[len(best) // 2]
    return changed, seconds


CONTENDERS = {
    made.__name__: made
    for made in (
        save_loop,
        bulk_update,
        pgbulk_update,
        subquery_update,
        task_per_row,
        ours,
        ours_sweep,
        own_select,
        ours_one_service,
    )
}

if __name__ == "__main__":
    import resource

    assert not transaction.get_connection().in_atomic_block
    done, taken = CONTENDERS[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": done, "seconds": taken, "megabytes": peak}))
