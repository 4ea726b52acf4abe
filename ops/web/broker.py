"""Celery's broker as a monitor sees it: whether it answers within a second, and what waits in it.

A project without Celery, or without a broker, has none; that is no fault.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ops import clock

SECONDS = 1.0
"""How long a broker may take to be reached, and to answer."""


class Unreachable(Exception):
    """The broker does not answer; the message says what was tried and found, and names no password."""


@dataclass(frozen=True)
class Waiting:
    """Messages by queue, how many are delivered and not acknowledged, and for how many seconds the oldest of these is.

    Only Redis tells the last two.
    """

    queues: dict[str, int]
    unacknowledged: int | None = None
    oldest: float | None = None


def app() -> Any:
    """Return the project's Celery application, or None where it has none, or no broker."""
    try:
        from celery import current_app
    except ImportError:
        return None
    return current_app if current_app.conf.broker_url else None


def queues(of: Any) -> set[str]:
    """Return the queues that the application declares and routes to."""
    routes = of.conf.task_routes
    routed = routes.values() if isinstance(routes, dict) else ()
    named = {route.get("queue") for route in routed if isinstance(route, dict)}
    return set(of.amqp.queues) | {str(getattr(one, "name", one)) for one in named if one}


@contextmanager
def _connected(of: Any, seconds: float) -> Iterator[Any]:
    """Open a connection whose every step is bounded; raise Unreachable where one fails."""
    options = {"socket_timeout": seconds, "socket_connect_timeout": seconds, "read_timeout": seconds}
    connection = of.connection_for_read(transport_options=options, connect_timeout=seconds)
    try:
        connection.ensure_connection(max_retries=0, timeout=seconds)
        yield connection
    except Exception as exc:
        # Clients of brokers raise what they like; what they say may have the URL in it.
        kind = type(exc).__name__
        raise Unreachable(f"the broker at {connection.as_uri()} does not answer: {kind}") from exc
    finally:
        connection.release()


def ping(seconds: float = SECONDS) -> str:
    """Return the broker's address, without its password, once it has answered; '' where there is none."""
    of = app()
    if of is None:
        return ""
    with _connected(of, seconds) as connection:
        # To open a channel of Redis's is to ping it; AMQP negotiates.
        connection.channel().close()
        return str(connection.as_uri())


def look(more: set[str] | frozenset[str] = frozenset(), seconds: float = SECONDS) -> Waiting | None:
    """Count what waits in the application's queues and in those named; None where there is no broker."""
    of = app()
    if of is None:
        return None
    with _connected(of, seconds) as connection:
        channel = connection.channel()
        redis = connection.transport.driver_type == "redis"
        # Redis has no queue that is empty, and to declare one there writes nothing.
        found = {
            queue: int(channel.queue_declare(queue=queue, passive=not redis).message_count)
            for queue in sorted(queues(of) | more)
        }
        if not redis:
            return Waiting(found)
        # These commands, and not ZCARD, are among those to whose keys kombu adds the prefix.
        unacknowledged = channel.client.hlen(channel.unacked_key)
        oldest = channel.client.zrange(channel.unacked_index_key, 0, 0, withscores=True)
        ages = [max(0.0, clock.now().timestamp() - delivered) for _, delivered in oldest]
        return Waiting(found, int(unacknowledged), ages[0] if ages else None)
