"""Django's entry to the app."""

from django.apps import AppConfig


class CountersConfig(AppConfig):
    name = "bench.counters"
    label = "counters"
