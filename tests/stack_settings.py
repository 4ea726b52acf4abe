"""The suite's settings with the times of Celery made short, so that a test sees them pass: for tests/ops/test_stack.py.

They are what the environment says, in seconds; every other setting is the project's own.
"""

import os

from tests.settings import *  # noqa: F403 - the suite's settings, all of them
from tests.settings import CELERY_BROKER_TRANSPORT_OPTIONS as OPTIONS

SETWISE_TASK_SECONDS = float(os.environ.get("STACK_TASK_SECONDS", "240"))
CELERY_BROKER_TRANSPORT_OPTIONS = {**OPTIONS, "visibility_timeout": int(os.environ.get("STACK_VISIBILITY", "3000"))}
SETWISE_SCHEDULES = os.environ.get("STACK_SCHEDULES", "tests.ops.stack.SCHEDULES")
