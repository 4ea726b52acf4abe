"""The fixtures of the cache's tests."""

from collections.abc import Iterator

import pytest
from django.core.cache import caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ops.cache import registry
from ops.cache.counting import counting
from ops.cache.store import store, troubles


@pytest.fixture
def fresh(transactional_db: None) -> Iterator[None]:
    """An empty cache that answers, nothing counted, nothing said yet; what a test caches is forgotten afterwards."""
    known = dict(registry._registered)
    store.reopen()
    counting.start_anew()
    troubles.forget()
    caches["default"].clear()
    yield
    registry._registered.clear()
    registry._registered.update(known)
    store.reopen()


@pytest.fixture
def other() -> Iterator[BaseDatabaseWrapper]:
    """A second connection to the test database, in autocommit."""
    made = connections["default"].copy()
    yield made
    made.close()
