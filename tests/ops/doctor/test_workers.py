"""What the doctor tells of workers and beats, asked over the suite's own Redis; each test is named after its id."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from celery.beat import BeatPidbox
from celery.events import event

from config import celery_app
from ops.doctor import Finding, asking, examine
from ops.doctor import workers as module
from tests.ops.doctor.conftest import daily, found, only, working

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("conf", "redis")]


@contextmanager
def beating(*hosts: str) -> Iterator[None]:
    """Let beats answer as `celery beat` does, without a scheduler behind them."""
    boxes = []
    for host in hosts:
        service = SimpleNamespace(
            app=celery_app, hostname=host, _last_tick=None, effective_max_interval=5, max_interval=5
        )
        boxes.append(BeatPidbox(service))
        boxes[-1].start()
    time.sleep(0.2)
    try:
        yield
    finally:
        for box in boxes:
            box._shutdown.set()
        for box in boxes:
            box.stop()


def at_broker() -> list[Finding]:
    """Return what is found at the broker and of who listens."""
    return list(examine("default", only=["ops.E080", "ops.E066", "ops.E067"]).findings)


@cache
def answered() -> asking.Answers:
    """Return what a worker has answered, asked once."""
    with working():
        return asking._ask(celery_app)


def test_nothing_is_wrong_with_a_worker_of_both_queues_and_one_beat() -> None:
    daily("nightly")
    with working(), beating("one"):
        report = examine("default")
    assert [(one.id, one.found) for one in report.findings if one.severity != "info"] == []
    assert report.site.told["workers"] == "fast@test, celerybeat@one"
    assert report.healthy
    assert report.seconds < 3


def test_ops_e080_no_worker_answers() -> None:
    (finding,) = at_broker()
    assert (finding.id, finding.found) == ("ops.E080", "No worker answered within a second.")


def test_ops_e066_no_beat_answers_though_schedules_are_on() -> None:
    daily("nightly")
    assert "ops.E066" in [one.id for one in at_broker()]


def test_ops_e067_two_beats_answer_also_those_of_one_name() -> None:
    with beating("one", "one"):
        finding = next(one for one in at_broker() if one.id != "ops.E080")
    assert (finding.id, finding.found) == ("ops.E067", "2 beats answered: celerybeat@one, celerybeat@one.")


def test_ops_e081_a_task_that_no_worker_has_registered() -> None:
    daily("old name", task="billing.tasks.reprice_all")
    with working():
        finding = only("E081")
    assert finding.found == ("Schedule 'old name' sends 'billing.tasks.reprice_all', which no worker has registered.")


def test_ops_e082_a_queue_that_nobody_consumes(redis: Any) -> None:
    daily("nightly", queue="nobody")
    for number in range(3):
        redis.lpush("nobody", json.dumps({"number": number}))
    with working("fast"):
        told = {one.found for one in found("E082")}
    assert told == {
        "No worker consumes the queue 'nobody'; 3 messages wait in it, and schedules send to it: nightly.",
        "No worker consumes the queue 'slow'; 0 messages wait in it.",
    }


def test_ops_e046_a_worker_whose_clock_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where Celery stamps an event; its other clocks go on as they are.
    monkeypatch.setattr(event.Event, "__defaults__", (None, dict, lambda: time.time() + 90))
    with working():
        finding = only("E046")
    assert finding.found.startswith("The clock of fast@test is 90 s ahead of this host's (")


def test_ops_w080_a_worker_under_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = answered()
    # One process has one app; so what it is compared with moves, not the worker.
    monkeypatch.setitem(celery_app.conf, "task_time_limit", 60)
    site = SimpleNamespace(app=celery_app)
    (finding,) = module._settings(site, answers)
    assert (finding.id, finding.found) == (
        "ops.W080",
        "Worker fast@test has task_time_limit 1200, this process 60.",
    )


def test_ops_w081_two_workers_of_one_name() -> None:
    answers = deepcopy(answered())
    assert answers.workers == ["fast@test"]
    answers.by["ping"] *= 2
    (finding,) = module._names(answers)
    assert (finding.id, finding.found) == ("ops.W081", "2 workers are called fast@test.")


def test_a_worker_of_an_older_celery_that_knows_a_question_not_is_no_answer() -> None:
    answers = asking.Answers(by={"conf": [("fast@test", {"error": "unknown"}), ("slow@test", {"timezone": "UTC"})]})
    assert answers.of("conf") == {"slow@test": {"timezone": "UTC"}}


def test_all_is_asked_at_the_same_time() -> None:
    began = time.monotonic()
    asking._ask(celery_app)
    assert time.monotonic() - began < 2
