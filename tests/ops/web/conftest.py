"""The token of /metrics."""

import pytest
from pytest_django import Settings

from tests.ops.web.scraping import TOKEN


@pytest.fixture(autouse=True)
def token(settings: Settings) -> None:
    settings.SETWISE_METRICS_TOKEN = TOKEN
