"""A broker that dies while the doctor asks is a finding, not something to wait for."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from ops.doctor import asking
from tests.ops.stack import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path)
    made.start_broker()
    try:
        yield made
    finally:
        made.kill_broker()


@pytest.mark.parametrize("ask", [lambda app: asking._broadcast(app, "ping", {}), asking._clocks, asking._ask])
def test_it_dies_once_it_was_reached(stack: Stack, ask: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    app = Celery("dying", broker=f"redis+socket://{stack.socket}", set_as_current=False)
    reached = app.connection_for_read

    def dies(**bounds: Any) -> Any:
        connection = reached(**bounds)
        ensure = connection.ensure_connection

        def last(**limits: Any) -> Any:
            found = ensure(**limits)
            connection.default_channel  # noqa: B018 - opens it
            stack.kill_broker()
            return found

        connection.ensure_connection = last
        return connection

    monkeypatch.setattr(app, "connection_for_read", dies if ask is not asking._ask else _second(reached, dies))
    began = time.monotonic()
    if ask is asking._ask:
        assert "does not answer" in ask(app).unreachable
    else:
        with pytest.raises(Exception, match=r"Connection refused|Connection closed|Broken pipe|No such file"):
            ask(app)
    # A bound on what was endless, not a measurement.
    assert time.monotonic() - began < 30


def _second(first: Callable[..., Any], others: Callable[..., Any]) -> Callable[..., Any]:
    """Let the first call reach the broker, which dies at one of the others."""
    calls = []

    def either(**bounds: Any) -> Any:
        calls.append(bounds)
        return (first if len(calls) == 1 else others)(**bounds)

    return either
