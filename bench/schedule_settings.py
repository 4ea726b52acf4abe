"""The benchmark's settings with the schedules that bench/schedules.py declares."""

from bench.settings import *  # noqa: F403 - all of them

SETWISE_SCHEDULES = "bench.schedules.DECLARED"
