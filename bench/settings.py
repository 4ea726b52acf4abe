"""The project's settings with the app whose jobs the engine's benchmark runs."""

from config.settings import *  # noqa: F403 - the project's settings, all of them
from config.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "bench.counters"]
