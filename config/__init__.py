"""The project: settings, Celery, URLs, schedules and the embedded servers."""

from .celery import app as celery_app

__all__ = ["celery_app"]
