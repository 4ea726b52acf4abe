"""What broken set-ups are made of: the app's settings for one test, the broker's own client, rows of beat, a worker."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from celery.contrib.testing.worker import start_worker
from celery.fixups.django import DjangoWorkerFixup
from django.db import connection
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from config import celery_app
from ops.doctor import Finding, examine
from ops.doctor.asking import connected


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set settings of the Celery app until the test ends; nothing is declared, unless by the test itself."""
    # Not by the fixture `settings`: of settings that are overridden, a worker can't tell its own.
    monkeypatch.setattr("config.schedules.SCHEDULES", ())

    def set_(**values: Any) -> None:
        for name, value in values.items():
            monkeypatch.setitem(celery_app.conf, name, value)

    set_(beat_enable_remote_control=True)
    return set_


@pytest.fixture
def redis(db: None) -> Iterator[Any]:
    """The broker's client, which knows its prefix; what a test has queued there is deleted."""
    connection.ensure_connection()  # the embedded servers start with it
    with connected(celery_app) as opened:
        client = opened.default_channel.client
        yield client
        client.delete("fast", "slow", "nobody", "unacked", "unacked_index")


@pytest.fixture
def configured(redis: Any) -> Iterator[Callable[..., None]]:
    """Set what CONFIG SET sets until the test ends."""
    before: dict[str, str] = {}

    def set_(**values: str) -> None:
        for name, value in values.items():
            key = name.replace("_", "-")
            before.update(redis.config_get(key))
            redis.config_set(key, value)

    yield set_
    for key, value in before.items():
        redis.config_set(key, value)


def daily(name: str, zone: str = "Asia/Seoul", **more: Any) -> PeriodicTask:
    """Make a row of beat that is due at 01:00, or by the fields of a crontab given."""
    fields = {"minute": "0", "hour": "1", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"}
    given = {field: more.pop(field, value) for field, value in fields.items()}
    crontab = CrontabSchedule.objects.create(**given, timezone=zone)
    return PeriodicTask.objects.create(name=name, crontab=crontab, **{"task": "ops.debug_task", **more})


def every(name: str, seconds: int, **more: Any) -> PeriodicTask:
    """Make a row of beat that is due every so many seconds."""
    interval = IntervalSchedule.objects.create(every=seconds, period="seconds")
    return PeriodicTask.objects.create(name=name, interval=interval, **{"task": "ops.debug_task", **more})


def found(*ids: str) -> list[Finding]:
    """Return what the doctor finds of these ids, alone, so that only their areas are looked at."""
    return list(examine("default", only=[f"ops.{one}" for one in ids]).findings)


def only(number: str) -> Finding:
    """Return the one finding of this id."""
    (one,) = found(number)
    assert one.id == f"ops.{number}"
    return one


def execute(statement: str, *values: Any) -> None:
    """Execute a statement in the test's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


@contextmanager
def working(*queues: str, name: str = "fast@test", **more: Any) -> Iterator[Any]:
    """Run a worker in a thread, on the suite's own Redis; it answers what it is asked."""
    # As `celery worker` does it; the list of the app is the process's, so it is put back.
    before = celery_app.amqp.queues._consume_from
    # It would close this thread's connection, in whose transaction the test is.
    kept = patch.object(DjangoWorkerFixup, "install", lambda fixup: fixup)
    celery_app.amqp.queues.select(list(queues) or ["fast", "slow"])
    try:
        with (
            kept,
            start_worker(
                celery_app,
                pool="solo",
                perform_ping_check=False,
                without_heartbeat=False,
                hostname=name,
                loglevel="ERROR",
                **more,
            ) as worker,
        ):
            yield worker
    finally:
        celery_app.amqp.queues._consume_from = before
