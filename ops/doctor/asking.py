"""Questions to workers and beats: who is there, what they know, consume and run under, and what time it is for them.

All are asked at the same time, each in a thread and over a connection of its own, for none says how many there are that
might answer: each question waits its second to the end.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ops import clock

WAIT = 1.0
"""Seconds that workers have to answer; and that the broker has to be reached."""

QUESTIONS = {"ping": {}, "registered": {}, "active_queues": {}, "conf": {"with_defaults": True}}

BEAT = "celerybeat@"

Replies = list[tuple[str, Any]]


@dataclass
class Answers:
    """What was answered: by question, a list of (node, reply); `apart` are the seconds a worker's clock is ahead."""

    unreachable: str = ""
    by: dict[str, Replies] = field(default_factory=dict)
    apart: dict[str, float] = field(default_factory=dict)

    def _pinged(self, *, beats: bool) -> list[str]:
        return sorted(node for node, _ in self.by.get("ping", []) if node.startswith(BEAT) == beats)

    @property
    def beats(self) -> list[str]:
        """Return the names of the beats that answered; two on one host have the same."""
        return self._pinged(beats=True)

    @property
    def workers(self) -> list[str]:
        """Return the names of the workers that answered."""
        return self._pinged(beats=False)

    def of(self, question: str) -> dict[str, Any]:
        """Return the answers to a question by node; what is an error is left out."""
        return {
            node: reply
            for node, reply in self.by.get(question, [])
            if not (isinstance(reply, dict) and set(reply) == {"error"})
        }


@contextmanager
def connected(app: Any) -> Iterator[Any]:
    """Open a connection to the broker whose every step is bounded; it raises what the client's library raises."""
    bounds = {"socket_connect_timeout": WAIT, "socket_timeout": 3 * WAIT, "max_retries": 1}
    connection = app.connection_for_read(transport_options=bounds, connect_timeout=WAIT)
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=WAIT)
        yield connection
    finally:
        connection.release()


def in_words(app: Any, exc: Exception) -> str:
    """Say why the broker can't be reached, without its password."""
    address = app.connection_for_read().as_uri()
    why = " ".join(str(exc).split()).rstrip(".")
    return f"The broker at {address} does not answer: {why or type(exc).__name__}."


@contextmanager
def asked(app: Any) -> Iterator[Callable[[], Answers]]:
    """Ask everything in the background; what is yielded waits for the answers."""
    if app is None:
        yield Answers
        return
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="doctor") as pool:
        future: Future[Answers] = pool.submit(_ask, app)
        yield future.result


def _ask(app: Any) -> Answers:
    try:
        with connected(app) as connection:
            connection.default_channel  # noqa: B018 - opens it, which is to ask
    except Exception as exc:  # clients of brokers raise what they like
        return Answers(unreachable=in_words(app, exc))
    with ThreadPoolExecutor(max_workers=len(QUESTIONS) + 1, thread_name_prefix="doctor") as pool:
        asked = {question: pool.submit(_broadcast, app, question, given) for question, given in QUESTIONS.items()}
        apart = pool.submit(_clocks, app)
        try:
            return Answers(by={question: future.result() for question, future in asked.items()}, apart=apart.result())
        except Exception as exc:  # it has gone away meanwhile
            return Answers(unreachable=in_words(app, exc))


def _mailbox(app: Any, connection: Any) -> Any:
    """Return the way to the workers over this connection alone.

    What the app broadcasts goes through a pool of connections without bounds; and kombu publishes it with retries
    that never end and lets nobody say otherwise: a broker that dies now would be waited for until it is back.
    """
    mailbox = app.control.mailbox(connection)
    mailbox.producer_pool = None
    connection.ensure = lambda producer, publish, **policy: publish
    return mailbox


def _broadcast(app: Any, question: str, given: dict[str, Any]) -> Replies:
    with connected(app) as connection:
        replies = _mailbox(app, connection).multi_call(question, given, timeout=WAIT)
    return [(node, reply) for one in replies or () for node, reply in one.items()]


def _clocks(app: Any) -> dict[str, float]:
    """Ask every worker for a heartbeat now, and compare the time in it with this host's.

    The event's own time is what is read: Celery's receiver would shift it by the difference of zones.
    """
    from celery.events.event import get_exchange
    from kombu import Consumer, Queue, uuid

    found: dict[str, float] = {}

    def heard(body: Any, message: Any) -> None:
        for event in body if isinstance(body, list) else [body]:
            if event.get("type") == "worker-heartbeat" and "timestamp" in event:
                ahead = event["timestamp"] - clock.now().timestamp()
                # The first one may have waited; of several the one that took least counts.
                found[event["hostname"]] = max(ahead, found.get(event["hostname"], ahead))

    with connected(app) as connection:
        exchange = get_exchange(connection, name=app.conf.event_exchange)
        queue = Queue(f"doctor.{uuid()}", exchange, routing_key="worker.#", auto_delete=True, durable=False, expires=10)
        with Consumer(connection.default_channel, [queue], callbacks=[heard], no_ack=True, accept=["json"]):
            deadline = clock.monotonic() + WAIT
            sent = False
            while (left := deadline - clock.monotonic()) > 0:
                with suppress(TimeoutError):
                    # The first look subscribes; what is published before that is not heard.
                    connection.drain_events(timeout=left if sent else 0.05)
                if not sent:
                    _mailbox(app, connection).abcast("heartbeat")
                    sent = True
    return found
