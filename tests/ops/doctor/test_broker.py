"""What the doctor tells of the broker, on the suite's own Redis with changed settings; each test is named by its id."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from config import celery_app
from ops.doctor import asking, broker
from tests.ops.doctor.conftest import found, only

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("conf", "redis")]

BROKER = [f"E07{number}" for number in range(4)] + [f"W07{number}" for number in range(4)]


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each test the second in which workers may answer."""
    monkeypatch.setattr(asking, "_ask", lambda app: asking.Answers())


def test_nothing_is_wrong_with_a_redis_as_it_ought_to_be() -> None:
    assert found(*BROKER) == []


def test_ops_e070_a_broker_that_is_away_is_one_finding_and_tells_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("broker_url", "broker_read_url", "broker_write_url"):
        monkeypatch.setitem(celery_app.conf, name, "redis://:secret@127.0.0.1:1/0")
    began = time.monotonic()
    finding = only("E070")
    assert time.monotonic() - began < 2
    assert finding.found.startswith("The broker at redis://:**@127.0.0.1:1/0 does not answer: Error 111 connecting to")
    assert "secret" not in finding.found


def test_ops_e071_redis_may_evict(configured: Callable[..., None]) -> None:
    configured(maxmemory_policy="allkeys-lru")
    finding = only("E071")
    assert finding.found == "maxmemory-policy is allkeys-lru."
    assert finding.mends.startswith("redis-cli CONFIG SET maxmemory-policy noeviction")


def test_ops_e072_redis_is_old(monkeypatch: pytest.MonkeyPatch, redis: Any) -> None:
    # There is no older one to be had here; so the bound moves, not the server.
    monkeypatch.setattr(broker, "OLDEST", (99, 0))
    assert only("E072").found == f"Redis is {redis.info('server')['redis_version']}."


def test_ops_e073_redis_is_a_replica(redis: Any) -> None:
    redis.replicaof("127.0.0.1", 1)
    try:
        finding = only("E073")
    finally:
        redis.replicaof("NO", "ONE")
    assert finding.found == "It is a replica of 127.0.0.1:1."


def test_ops_w070_redis_keeps_nothing(configured: Callable[..., None], settings: Any) -> None:
    configured(appendonly="no", save="")
    assert found("W070") == []  # the embedded one is for tests
    settings.EMBEDDED = None
    assert only("W070").found == "appendonly is off, and so is save."
    configured(save="3600 1")
    assert found("W070") == []


def test_ops_w071_redis_is_nearly_full(configured: Callable[..., None], redis: Any) -> None:
    configured(maxmemory=str(int(redis.info("memory")["used_memory"] * 1.1)))
    assert only("W071").found.endswith(" MB are used.")


def test_ops_e073_redis_is_full_and_refuses_messages(configured: Callable[..., None], redis: Any) -> None:
    configured(maxmemory="1", **{"maxmemory-policy": "noeviction"})
    assert "every message is refused" in only("E073").found
    assert found("W071") == []


def test_ops_w072_a_long_queue_counts_the_messages_of_all_priorities(redis: Any) -> None:
    redis.lpush("slow", *[json.dumps({}) for _ in range(broker.LONG - 1)])
    assert found("W072") == []
    redis.lpush("slow\x06\x163", json.dumps({}))
    try:
        assert only("W072").found == f"Queue 'slow' has {broker.LONG:,} messages."
    finally:
        redis.delete("slow\x06\x163")


def test_ops_w073_a_message_that_nobody_hands_out_again(redis: Any) -> None:
    redis.hset("unacked", "tag", json.dumps([{}, "", ""]))
    redis.zadd("unacked_index", {"tag": time.time() - 3_000})
    assert found("W073") == []
    redis.zadd("unacked_index", {"tag": time.time() - 4_000})
    assert only("W073").found == "The oldest of 1 is 4,000 s old; the visibility timeout is 3,000 s."


def test_ops_e046_the_clock_of_redis(monkeypatch: pytest.MonkeyPatch, redis: Any) -> None:
    class Client:
        """Redis's TIME, a quarter of an hour ago."""

        def time(self) -> tuple[int, int]:
            seconds, micros = redis.time()
            return seconds - 900, micros

    (finding,) = broker._clock(Client())
    assert finding.id == "ops.E046"
    assert finding.found.endswith(" on Redis's: 900 s apart.")


def test_a_broker_that_is_no_redis_is_looked_at_as_far_as_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("broker_url", "broker_read_url", "broker_write_url"):
        monkeypatch.setitem(celery_app.conf, name, "memory://")
    assert found(*BROKER) == []
