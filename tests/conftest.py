"""The suite's servers: embedded ones of its own with fsync off, or those that DATABASE_URL and REDIS_URL name.

The settings are the project's own; only environment variables differ. Suites that run at the same time in one checkout
take different servers (test-18, test2-18, ..), so that they do not meet in one test database.
"""

import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest

# Helpers whose assertions say what they compared, as those of tests do; told before any test imports them.
for _helper in ("cases", "cases_history", "cases_projects", "cases_rules", "cases_tables", "keeping", "sample"):
    pytest.register_assert_rewrite(f"tests.drift.{_helper}")

ROOT = Path(__file__).resolve().parent.parent
_slot: list[int] = []


def _free_name(version: str) -> str:
    """Return the first name of embedded servers that no other suite uses, and keep it until this process ends."""
    directory = ROOT / ".setwise"
    directory.mkdir(mode=0o711, exist_ok=True)
    number = 0
    while True:
        number += 1
        name = "test" if number == 1 else f"test{number}"
        descriptor = os.open(directory / f"{name}-{version}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        _slot.append(descriptor)
        return name


# Empty means not set, and keeps a developer's .env out of the suite.
for _name in ("DATABASE_URL", "REDIS_URL", "DB_HOST"):
    os.environ.setdefault(_name, "")
os.environ.update(DEBUG="0", SECRET_KEY="only-for-tests-" * 4, SETWISE_HTTPS="0")
os.environ.update(TIME_ZONE="", ALLOWED_HOSTS="", CSRF_TRUSTED_ORIGINS="")
os.environ.setdefault("SETWISE_PG", "18")
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
os.environ["SETWISE_EMBEDDED"] = _free_name(os.environ["SETWISE_PG"])
django.setup()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each process of pytest-xdist take servers of its own: pytest-django would read these before this file is."""
    for name in ("DJANGO_SETTINGS_MODULE", "SETWISE_EMBEDDED"):
        os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what soaks the time that it takes; all else has the limit of pyproject.toml, so that a hang is a failure."""
    for item in items:
        if item.get_closest_marker("soak") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(2 * 3_600))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Tell of a failure at once where several processes work: what is killed later would say nothing of it."""
    if session.config.pluginmanager.hasplugin("dsession"):
        session.config.pluginmanager.register(_Telling(), "telling")


class _Telling:
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            sys.stderr.write(f"\nFAILED {report.nodeid} ({report.when})\n{report.longreprtext}\n")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Make the suite's database as pytest-django does, and empty it between tests as tests.flushing says."""
    from django.db import connection

    from tests import flushing

    with django_db_blocker.unblock():
        flushing.remember(connection)
    flushing.install()


@pytest.fixture(scope="session", autouse=True)
def _stop_servers() -> Iterator[None]:
    """Stop the suite's servers at its end instead of a moment later."""
    yield
    from django.conf import settings

    if settings.EMBEDDED is not None:
        settings.EMBEDDED.stop()
