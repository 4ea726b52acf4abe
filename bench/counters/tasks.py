"""What the benchmark of schedules is held against: a plain Celery task that writes one row, results in the database."""

from typing import Any

from celery import shared_task

from bench.counters.models import Counter


@shared_task(name="bench.plain")
def plain(n: int) -> dict[str, Any]:
    """Do by one UPDATE what the job `counters.tick` does by a run."""
    return {"changed": Counter.objects.filter(pk=n).exclude(v=1).update(v=1)}
