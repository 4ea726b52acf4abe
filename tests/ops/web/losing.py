"""Servers that are away: what a connection of its own is opened to from then on."""

import pytest
from celery import current_app
from django.db import connection

PASSWORD = "hidden-in-the-url"


def lose_broker(monkeypatch: pytest.MonkeyPatch, port: int = 1) -> None:
    """Let Celery's broker be where none is."""
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    monkeypatch.setattr(current_app.conf, "broker_read_url", url)


def lose_database(monkeypatch: pytest.MonkeyPatch, port: int = 1) -> None:
    """Let new connections go where none is; the one that there is stays."""
    for name, value in (("HOST", "127.0.0.1"), ("PORT", str(port)), ("PASSWORD", PASSWORD)):
        monkeypatch.setitem(connection.settings_dict, name, value)
