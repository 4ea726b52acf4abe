"""The project's settings with an app more: models and jobs of every kind that a host project may have."""

from config.settings import *  # noqa: F403 - the project's settings, all of them
from config.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "tests.shelf"]
# Hundreds of tests log somebody in, and Django's own hasher takes a third of a second on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
