"""What tests of differences begin with."""

from collections.abc import Iterator
from typing import Any

import pytest

from ops.drift.model import Objects
from tests.drift.damaging import healthy_database, read


@pytest.fixture(scope="module")
def want(django_db_setup: None, django_db_blocker: Any) -> Iterator[Objects]:
    """The catalogue of the healthy database, as it ought to be."""
    with django_db_blocker.unblock(), healthy_database() as name:
        yield read(name)
