"""What can be told of the broker: whether it is there and fit, and what waits in it.

Of brokers that are no Redis only the lengths of queues are told.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from ops import clock
from ops.doctor import Finding, Site, finding
from ops.doctor.asking import Answers, connected, in_words
from ops.doctor.settings import APART, is_redis, visibility

OLDEST = (6, 2)
"""The oldest version of Redis."""

FULL = 0.9
"""The share of Redis's memory from which on it is nearly full."""

LONG = 1_000
"""Messages that make a queue a long one."""

RESTORED = 120.0
"""Seconds after the visibility timeout within which a worker hands a message out again: it looks every 100 s."""


@dataclass
class Found:
    """What was found, and how many messages each queue has; None where the broker is not there."""

    findings: list[Finding] = field(default_factory=list)
    lengths: dict[str, int] | None = None


def queues(app: Any, more: Iterable[str]) -> list[str]:
    """Return the queues that the settings declare and route to, and those named."""
    routes = app.conf.task_routes
    routed = [route for route in routes.values() if isinstance(route, dict)] if isinstance(routes, dict) else []
    names = {str(getattr(route.get("queue"), "name", route.get("queue"))) for route in routed if route.get("queue")}
    return sorted({*app.amqp.queues, *names, *more, app.conf.task_default_queue} - {""})


def look(site: Site, more: Iterable[str]) -> Found:
    """Look at the broker; `more` are queues that schedules and runs name."""
    found = Found()
    if site.app is None:
        site.told["broker"] = "this project has no Celery"
        return found
    try:
        with connected(site.app) as connection:
            channel = connection.default_channel
            names = queues(site.app, more)
            if is_redis(site.app):
                found.findings += _redis(site, channel)
                steps = channel.priority_steps
                found.lengths = {name: _length(channel, name, steps) for name in names}
            else:
                found.lengths = {name: _declared(connection, name) for name in names}
                site.told["broker"] = f"{connection.as_uri()}: no Redis, so only its queues were looked at"
    except Exception as exc:  # clients of brokers raise what they like
        found.lengths = None
        found.findings = [finding("E070", in_words(site.app, exc))]
        site.told["broker"] = "does not answer"
        return found
    for name, length in found.lengths.items():
        if length >= LONG:
            found.findings.append(finding("W072", f"Queue {name!r} has {length:,} messages."))
    waiting = sum(found.lengths.values())
    site.told["broker"] += f"; {waiting:,} message{'' if waiting == 1 else 's'} in {', '.join(found.lengths)}"
    return found


def _length(channel: Any, name: str, steps: Iterable[int]) -> int:
    # kombu keeps a list for each priority; its own _q_for_pri names them.
    return sum(int(channel.client.llen(channel._q_for_pri(name, step))) for step in steps)  # noqa: SLF001 - no public way


def _declared(connection: Any, name: str) -> int:
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue=name, passive=True).message_count)
        except connection.channel_errors:
            return 0


def _redis(site: Site, channel: Any) -> Iterator[Finding]:
    client = channel.client
    info: dict[str, Any] = client.info()
    version = str(info.get("redis_version", "0"))
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory") or 0)
    site.told["broker"] = f"Redis {version}, {used / 2**20:,.0f} MB{f' of {most / 2**20:,.0f} MB' if most else ''}"
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < OLDEST:
        yield finding("E072", f"Redis is {version}.")
    if (policy := str(info.get("maxmemory_policy", "noeviction"))) != "noeviction":
        yield finding("E071", f"maxmemory-policy is {policy}.")
    yield from _writes(info)
    if most and used >= most and policy == "noeviction":
        yield finding(
            "E073",
            f"It is full: {used / 2**20:,.1f} MB of {most / 2**20:,.1f} MB are used, and every message is refused.",
            "raise maxmemory: redis-cli CONFIG SET maxmemory; nothing is lost, the sweeper sends what is missing",
        )
    elif most and used >= FULL * most:
        yield finding("W071", f"{used / 2**20:,.1f} MB of {most / 2**20:,.1f} MB are used.")
    if not _keeps(client, info) and getattr(settings, "EMBEDDED", None) is None:
        yield finding("W070", "appendonly is off, and so is save.")
    yield from _clock(client)
    yield from _unacknowledged(site, channel)


def _writes(info: dict[str, Any]) -> Iterator[Finding]:
    if info.get("role") == "slave":
        yield finding(
            "E073",
            f"It is a replica of {info.get('master_host')}:{info.get('master_port')}.",
            "name the primary in CELERY_BROKER_URL (REDIS_URL), or redis-cli REPLICAOF NO ONE",
        )
    elif str(info.get("aof_last_write_status", "ok")) != "ok" or str(info.get("rdb_last_bgsave_status", "ok")) != "ok":
        yield finding(
            "E073", "It could not write to its disk the last time.", "free space on its disk; see Redis's log"
        )


def _keeps(client: Any, info: dict[str, Any]) -> bool:
    if info.get("aof_enabled"):
        return True
    try:
        return bool(client.config_get("save").get("save"))
    except Exception:  # managed Redis has no CONFIG, and keeps what its provider says
        return True


def _clock(client: Any) -> Iterator[Finding]:
    before = clock.now()
    seconds, micros = client.time()
    now = datetime.fromtimestamp(seconds + micros / 1e6, UTC)
    apart = max((before - now).total_seconds(), (now - clock.now()).total_seconds())
    if apart > APART:
        yield finding(
            "E046",
            f"It is {clock.shown(clock.now())} on this host and {clock.shown(now)} on Redis's: {apart:,.0f} s apart.",
        )


def _unacknowledged(site: Site, channel: Any) -> Iterator[Finding]:
    oldest = channel.client.zrange(channel.unacked_index_key, 0, 0, withscores=True)
    if not oldest:
        return
    age = site.now.timestamp() - oldest[0][1]
    held = int(channel.client.hlen(channel.unacked_key))
    site.told["broker"] += f", {held:,} unacknowledged (the oldest for {max(age, 0):,.0f} s)"
    limit = visibility(site.app.conf)
    if age > limit + RESTORED:
        yield finding("W073", f"The oldest of {held:,} is {age:,.0f} s old; the visibility timeout is {limit:,.0f} s.")


def trouble(answers: Answers, found: Found) -> bool:
    """Tell whether the broker is away, so that nothing can be said of who listens to it."""
    return bool(answers.unreachable) or found.lengths is None
