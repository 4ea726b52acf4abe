"""What tests of loads share: tables that Django does not manage are emptied, as it empties its own."""

from collections.abc import Iterator

import pytest
from django.db import connection

from ops.engine import retention
from ops.models import Run
from tests.shelf.goods import TABLE


@pytest.fixture(autouse=True)
def _unmanaged(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "transactional_db" in request.fixturenames or request.node.get_closest_marker("django_db"):
        request.getfixturevalue("_django_db_marker")
        with connection.cursor() as cursor:
            table = TABLE.replace('"', '""')
            cursor.execute(f'TRUNCATE shelf_legacy, "{table}" RESTART IDENTITY')
        # Those of runs that a test leaves unfinished, and that are gone with its other rows.
        Run.objects.update(state=Run.State.CANCELLED)
        retention.drop_staging_left("default")
