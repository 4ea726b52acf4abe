"""A broker that dies while the doctor asks is a finding, not something to wait for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.pidbox import Mailbox

from ops.doctor import asking
from tests.ops.stack import Stack


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return an app whose broker dies just before a question is published to it."""
    stack = Stack(tmp_path)
    stack.start_broker()
    acquire = Mailbox.producer_or_acquire

    def dies(*args: Any) -> Any:
        stack.kill_broker()
        return acquire(*args)

    monkeypatch.setattr(Mailbox, "producer_or_acquire", dies)
    yield Celery("dying", broker=f"redis+socket://{stack.socket}", set_as_current=False)
    stack.kill_broker()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("ask", [lambda app: asking._broadcast(app, "ping", {}), asking._clocks])
def test_a_question_ends_with_its_broker(dying: Any, ask: Callable[[Any], Any]) -> None:
    with pytest.raises(redis.ConnectionError, match=r"Connection refused|Connection closed|Broken pipe"):
        ask(dying)


@pytest.mark.timeout(60)
def test_the_doctor_says_that_the_broker_does_not_answer(dying: Any) -> None:
    assert "does not answer" in asking._ask(dying).unreachable
