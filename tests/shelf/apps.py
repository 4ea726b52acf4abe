"""A host project's app, as somebody else would write it: its jobs in jobs.py, their statements in sql/."""

from django.apps import AppConfig


class ShelfConfig(AppConfig):
    name = "tests.shelf"
    label = "shelf"
    default_auto_field = "django.db.models.BigAutoField"
